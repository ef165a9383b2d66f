package caddymodule

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// beside names the files that lie beside a store's directory, so that whoever copies or empties the directory leaves them alone.
type beside struct {
	dir        string // of the store
	secretFile string // what encrypts the secrets in it, unless the option secret is set
	marker     string // says that the store was set up once
}

func besideStore(dir string) beside {
	return beside{dir: dir, secretFile: dir + ".secret", marker: dir + ".marker"}
}

func (b beside) makeParent() error {
	if err := os.MkdirAll(filepath.Dir(b.dir), 0o700); err != nil {
		return fmt.Errorf("making the directory of the store: %w", err)
	}
	return nil
}

// checkMarker refuses a store that is empty but was set up once (S92): it would let the first visitor become the admin.
func (b beside) checkMarker(used bool) error {
	_, err := os.Lstat(b.marker)
	switch {
	case used, errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking for the mark of the store: %w", err)
	}
	return fmt.Errorf("the store in %s is empty, but %s says that it was set up before: its data was lost or the directory is "+
		"another one. Restore the data from a backup. To start over without any accounts, delete %[2]s", b.dir, b.marker)
}

// mark leaves the marker. Doing it again changes nothing.
func (b beside) mark() error {
	err := writeNew(b.marker, []byte("The store in the directory "+filepath.Base(b.dir)+" has been set up.\n"))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// secret returns the secret that lies beside the store, as a list of one. It makes one for a store that was never used.
func (b beside) secret(used bool) ([][]byte, error) {
	content, err := os.ReadFile(b.secretFile)
	if err == nil {
		if secret := bytes.TrimSpace(content); len(secret) >= auth.MinSecret {
			return [][]byte{secret}, nil
		}
		if used {
			return nil, fmt.Errorf("the file %s is damaged: it holds no secret of at least %d bytes. Restore it from a backup", b.secretFile, auth.MinSecret)
		}
		// Left by a start that was cut short. Nothing was sealed with it.
		if err := os.Remove(b.secretFile); err != nil {
			return nil, fmt.Errorf("removing an unfinished secret: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the secret of the store: %w", err)
	}
	if used {
		return nil, fmt.Errorf("the store in %s has data, but its secret is missing: the file %s. Restore that file from a backup, "+
			"or name the secret with the option secret", b.dir, b.secretFile)
	}
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails
	secret := []byte(base64.StdEncoding.EncodeToString(fresh))
	err = writeNew(b.secretFile, append(bytes.Clone(secret), '\n'))
	if errors.Is(err, fs.ErrPermission) {
		parent := filepath.Dir(b.dir)
		return nil, fmt.Errorf("the secret of the store cannot be kept in %s, because %s is not writable. Either give a secret with the "+
			"option secret, or choose a directory one level down, such as: storage badger %s", b.secretFile, parent, filepath.Join(b.dir, "store"))
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the secret of the store: %w", err)
	}
	return [][]byte{secret}, nil
}

// writeNew makes a file that must not exist, readable by its owner only, and returns when it is on the disk.
func writeNew(name string, content []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// explainSecret says which secret does not fit the store.
func explainSecret(err error, s *settings) error {
	if !errors.Is(err, auth.ErrSecret) {
		return err
	}
	source := "the file " + besideStore(s.dir).secretFile
	if len(s.secrets) > 0 {
		source = "the option secret"
	}
	return fmt.Errorf("the store in %s was made with another secret than the one of %s. Bring back the one it was made with; to change "+
		"a secret, name the new one first and the old one after it: %w", s.dir, source, err)
}
