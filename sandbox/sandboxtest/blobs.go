package sandboxtest

import (
	"context"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/sandbox"
)

// blobs is sandbox.Blobs in memory.
type blobs struct {
	*Service
	making []byte
	kept   map[[32]byte][]byte
}

// Blobs are kept in memory; Reply is one of them.
func (s *Service) Blobs() sandbox.Blobs {
	return &blobs{s, nil, map[[32]byte][]byte{blake3.Sum256(s.Reply): s.Reply}}
}

func (b *blobs) Write(_ context.Context, p []byte) error {
	if err := b.ask("blob write %s", p); err != nil {
		return err
	}
	b.making = append(b.making, p...)
	return nil
}

func (b *blobs) Finish() (hash [32]byte, err error) {
	if err := b.ask("blob finish"); err != nil {
		return hash, err
	}
	hash = blake3.Sum256(b.making)
	b.kept[hash], b.making = b.making, nil
	return hash, nil
}

func (b *blobs) Fetch(context.Context, [32]byte) error { return sandbox.ErrNotFound }

func (b *blobs) Size(hash [32]byte) (int64, error) {
	blob, ok := b.kept[hash]
	if !ok {
		return 0, sandbox.ErrNotFound
	}
	return int64(len(blob)), b.ask("blob size")
}

func (b *blobs) ReadAt(hash [32]byte, p []byte, offset int64) (int, error) {
	blob, ok := b.kept[hash]
	if !ok {
		return 0, sandbox.ErrNotFound
	}
	if err := b.ask("blob read at %d", offset); err != nil {
		return 0, err
	}
	return copy(p, blob[min(offset, int64(len(blob))):]), nil
}

func (b *blobs) Drop(hash [32]byte) (bool, error) {
	_, had := b.kept[hash]
	delete(b.kept, hash)
	if !had {
		return false, nil
	}
	return true, b.ask("blob drop")
}

func (b *blobs) Discard() {
	if b.making != nil {
		_ = b.ask("blob discard %s", b.making)
		b.making = nil
	}
}
