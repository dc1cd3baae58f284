package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Unwritable explains why a file in the lab's folder could not be written. It returns nil if err is nil.
func (e *Engine) Unwritable(file string, err error) error { return Unwritable(e.Dir, file, err) }

// Unwritable explains why a file in the folder of a lab could not be written. No remedy deletes anything.
func Unwritable(dir, file string, err error) error {
	const cannot = " cannot be written: "
	elsewhere := "copy the folder to a place that you may write to: git clone '" + dir + "' ~/spiffe-lab"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, diskFull):
		return &Problem{Code: lab.NotWritable, What: file + cannot + "its disk is full", Remedy: "make room on the disk of '" + dir + "', and type the command again; nothing was lost"}
	case errors.Is(err, syscall.EROFS):
		return &Problem{Code: lab.NotWritable, What: file + cannot + "its file system is read-only", Remedy: elsewhere}
	case errors.Is(err, fs.ErrPermission) && exists(filepath.Join(dir, ".cache")):
		return &Problem{Code: lab.NotWritable, What: file + cannot + "permission denied", Remedy: `if a command was run with sudo: sudo chown -R "$(id -u)" '` + dir + `/.cache'; or ` + elsewhere}
	}
	return &Problem{Code: lab.NotWritable, What: file + cannot + err.Error(), Remedy: elsewhere}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
