package launch

import "os"

// writable reports whether this user may write a file or folder: by its read-only flag. Windows shows the rest only to a program that
// tries.
func writable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().Perm()&0o200 != 0
}
