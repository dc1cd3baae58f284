// Package sources identifies the files from which a program was built, so that the program can notice a later change of these files.
package sources

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Program lists the sources of the programs lab and console, relative to the lab's folder.
var Program = []string{"go.mod", "go.sum", "services/console", "services/internal", "services/lab"}

// Hash returns the SHA-256 hash, in hexadecimal, of files and folders. The hash covers the names and contents of these files and of all
// files in these folders. It leaves out tests and their data, because no program contains them. If a path does not exist, Hash returns an
// error.
func Hash(root string, paths ...string) (string, error) {
	var files []string
	for _, start := range paths {
		err := filepath.WalkDir(filepath.Join(root, filepath.FromSlash(start)), func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "testdata":
				return fs.SkipDir
			case !entry.Type().IsRegular() || strings.HasSuffix(file, "_test.go"):
				return nil
			}
			name, err := filepath.Rel(root, file)
			files = append(files, filepath.ToSlash(name))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	slices.Sort(files)
	sum := sha256.New()
	for _, name := range files {
		if err := add(sum, root, name); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func add(sum io.Writer, root, name string) error {
	file, err := os.Open(filepath.Join(root, filepath.FromSlash(path.Clean(name))))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	fmt.Fprintf(sum, "%s %d\n", name, info.Size())
	_, err = io.Copy(sum, file)
	return err
}
