//go:build !windows

package launch

import "golang.org/x/sys/unix"

// writable reports whether this user may write a file or folder.
func writable(file string) bool { return unix.Access(file, unix.W_OK) == nil }
