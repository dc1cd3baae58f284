package console

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Access is how the page of one lab's console is reached. It is kept in a file that only its owner can read, so that a page
// which is open in a browser works again after the console was restarted.
type Access struct {
	Token   string `json:"token"`             // whoever knows it may read the page, and ask for a handshake
	Address string `json:"address,omitempty"` // of the console that runs, such as 127.0.0.1:8089
}

// ReadAccess reads the file. If there is none, or none with a token, there is a new token, which is not written yet.
func ReadAccess(file string) (Access, error) {
	var access Access
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return access, err
	}
	if json.Unmarshal(text, &access) != nil || strings.TrimSpace(access.Token) == "" {
		return Access{Token: rand.Text()}, nil
	}
	return access, nil
}

// Write replaces the file, with the mode 0600.
func (a Access) Write(file string) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+"-*") // with the mode 0600
	if err != nil {
		return err
	}
	_, err = next.Write(append(text, '\n'))
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}
