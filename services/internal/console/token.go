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

// Access has the token and the address of one lab's console. A file that only its owner can read stores the token and the address. So an
// open page works again after a restart of the console.
type Access struct {
	Token   string `json:"token"`             // it permits reading the page, and requesting a handshake
	Address string `json:"address,omitempty"` // of the running console, such as 127.0.0.1:8089
}

// ReadAccess reads the file of Access. If there is no file, or if the file has no token, the result has a new token, which is not in the
// file yet.
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
