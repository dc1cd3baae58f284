package launch

import (
	"io/fs"
	"os"
)

// writable returns why this user may not write a file or folder: by its read-only flag. Windows shows the rest only to a program that
// tries.
func writable(file string) error {
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o200 == 0 {
		return fs.ErrPermission
	}
	return err
}
