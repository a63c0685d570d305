//go:build unix

package datastore

import (
	"errors"
	"os"
)

// syncDir makes the names of new and renamed files durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
