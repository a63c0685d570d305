//go:build !linux && !darwin

package sandbox

import "errors"

// Elsewhere the memory of guests is Go's.
func reserve(uint64) ([]byte, error) { return nil, errors.ErrUnsupported }

func unreserve([]byte) {}
