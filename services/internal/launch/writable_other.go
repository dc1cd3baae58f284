//go:build !windows

package launch

import "golang.org/x/sys/unix"

// writable returns why this user may not write a file or folder.
func writable(file string) error { return unix.Access(file, unix.W_OK) }
