package sandbox

import (
	"context"
	"errors"
	"math"
)

// Blobs are bytes that are named by their BLAKE3 hash, behind the blob_* functions: those a module makes, and those it
// reads, which are fetched from other nodes. What a module made or read stays here until it drops it. An instance makes
// one blob at a time. The slices are the caller's.
type Blobs interface {
	// Write appends to the blob that is being made. ErrQuota means that it would be over 64 MiB, or the module over its
	// storage; nothing was appended then.
	Write(ctx context.Context, p []byte) error
	// Finish makes it a blob, which is on disk then; the next Write begins another.
	Finish() (hash [32]byte, err error)
	// Fetch makes sure that the module has a blob. ErrNotFound means that no connected node has it, or none sent it in
	// time. It waits; Size and ReadAt do not, and answer ErrNotFound where Fetch is needed.
	Fetch(ctx context.Context, hash [32]byte) error
	Size(hash [32]byte) (int64, error)
	// ReadAt reads 0 bytes at the end, and fewer than asked for only there.
	ReadAt(hash [32]byte, p []byte, offset int64) (int, error)
	// Drop says whether the module had it.
	Drop(hash [32]byte) (had bool, err error)
	// Discard drops what is not finished. It is called at the end of the instance.
	Discard()
}

func blobWrite(c call, arg args) code {
	data, bad := c.read(arg.u32(0), arg.u32(1), maxValue)
	if bad != codeOK {
		return bad
	}
	if c.host.Blobs == nil {
		return codeDenied
	}
	return c.waitFor(func() error { return c.host.Blobs.Write(c.ctx, data) })
}

// blobFinish looks at the buffer before it finishes, as a hash that is not told could not be asked for again.
func blobFinish(c call, arg args) code {
	op, oc := arg.u32(0), arg.u32(1)
	if oc < hashSize {
		return codeTooSmall
	}
	if bad := capacity(oc); bad != codeOK {
		return bad
	}
	if _, bad := c.read(op, hashSize, hashSize); bad != codeOK {
		return bad
	}
	if c.host.Blobs == nil {
		return codeDenied
	}
	var hash [hashSize]byte
	if bad := c.waitFor(func() (err error) { hash, err = c.host.Blobs.Finish(); return err }); bad != codeOK {
		return bad
	}
	return c.write(op, oc, hash[:])
}

// blobHash reads the name of a blob.
func (c call) blobHash(ptr, size uint32) (hash [hashSize]byte, bad code) {
	b, bad := c.read(ptr, size, hashSize)
	if bad == codeOK && size != hashSize {
		bad = codeInvalid
	}
	copy(hash[:], b)
	return hash, bad
}

func blobSize(c call, arg args) code {
	hash, bad := c.blobHash(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	if c.host.Blobs == nil {
		return codeDenied
	}
	var size int64
	bad = c.withBlob(hash, func() (err error) { size, err = c.host.Blobs.Size(hash); return err })
	if bad != codeOK {
		return bad
	}
	return code(size)
}

// withBlob does what needs a blob, and fetches it first if it is not here. To read what is here counts as computing.
func (c call) withBlob(hash [hashSize]byte, f func() error) code {
	err := f()
	if errors.Is(err, ErrNotFound) {
		if bad := c.waitFor(func() error { return c.host.Blobs.Fetch(c.ctx, hash) }); bad != codeOK {
			return bad
		}
		err = f()
	}
	return codeOfOurs(err)
}

func blobRead(c call, arg args) code {
	hash, bad := c.blobHash(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	if arg[2] > math.MaxInt64 {
		return codeInvalid
	}
	out, bad := c.read(arg.u32(3), arg.u32(4), maxOutput)
	if bad != codeOK {
		return bad
	}
	if len(out) == 0 {
		return codeTooSmall
	}
	if c.host.Blobs == nil {
		return codeDenied
	}
	n := 0
	bad = c.withBlob(hash, func() (err error) { n, err = c.host.Blobs.ReadAt(hash, out, int64(arg[2])); return err })
	if bad != codeOK {
		return bad
	}
	return code(n)
}

func blobDrop(c call, arg args) code {
	hash, bad := c.blobHash(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	if c.host.Blobs == nil {
		return codeDenied
	}
	had := false
	if bad := c.waitFor(func() (err error) { had, err = c.host.Blobs.Drop(hash); return err }); bad != codeOK {
		return bad
	}
	if !had {
		return codeNotFound
	}
	return codeOK
}

// discardBlob drops what the guest has not finished, at its end.
func (g *guest) discardBlob() {
	if g.host.Blobs != nil {
		g.host.Blobs.Discard()
	}
}
