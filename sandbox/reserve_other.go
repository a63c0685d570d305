//go:build !unix

package sandbox

import "errors"

// Without a portable way to reserve memory, guests' is Go's.
func reserve(uint64) ([]byte, error) { return nil, errors.ErrUnsupported }

func unreserve([]byte) {}
