package nx

import "io"

// Blobs are bytes of up to 64 MiB, named by their BLAKE3 hash and the same on every node.

// blobPiece is what one call of the host takes or gives.
const blobPiece = 1 << 20

// Hash names a blob.
type Hash [32]byte

// BlobWriter makes a blob; an instance makes one at a time. What is not finished is gone with the instance.
type BlobWriter struct{}

// Write appends to the blob. [ErrQuota] means that it would be over 64 MiB, or the module over its storage.
func (BlobWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		piece := p[n:min(n+blobPiece, len(p))]
		if err := check(blobWrite(piece)); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// Finish makes what was written a blob, which is on disk then.
func (BlobWriter) Finish() (h Hash, err error) { return h, check(blobFinish(h[:])) }

// Blob reads a blob, which is fetched if it is not here.
type Blob struct {
	hash   Hash
	size   int64
	offset int64 // of Read
}

// OpenBlob finds a blob; ok is false if no connected node has it.
func OpenBlob(h Hash) (b *Blob, ok bool, err error) {
	n := blobSize(h[:])
	if ok, err = there(n); ok {
		b = &Blob{hash: h, size: int64(n)}
	}
	return b, ok, err
}

// Size is how many bytes it has.
func (b *Blob) Size() int64 { return b.size }

// Read reads on.
func (b *Blob) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n := blobRead(b.hash[:], uint64(b.offset), p[:min(len(p), blobPiece)])
	if n == 0 {
		return 0, io.EOF
	}
	if err := check(n); err != nil {
		return 0, err
	}
	b.offset += int64(n)
	return int(n), nil
}

// DropBlob says that the module needs a blob no more that it made or read; ok is false if it has it not.
func DropBlob(h Hash) (ok bool, err error) { return there(blobDrop(h[:])) }
