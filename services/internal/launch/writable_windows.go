package launch

import (
	"io/fs"
	"os"
)

// writable returns why this user may not write a file or folder. It checks only the read-only flag. On Windows only a write can
// show whether the other permissions allow it.
func writable(file string) error {
	info, err := os.Stat(file)
	if err == nil && info.Mode().Perm()&0o200 == 0 {
		return fs.ErrPermission
	}
	return err
}
