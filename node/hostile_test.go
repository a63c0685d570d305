package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"io"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/p2p"
)

// A hostile peer speaks libp2p like any other and then sends what it likes.
// The node drops it, counts it, hangs up where the blame is plain, and goes on
// serving an honest peer.
func TestHostilePeer(t *testing.T) {
	victim := start(t, node.Config{})
	honest := start(t, node.Config{Bootstrap: victim.Addrs()})
	victim.fill(t, 3)
	honest.wait(t, 3)

	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()

	network := replica.OpenNetwork("test-" + t.Name())
	hello := append([]byte{34, 1, 1}, network[:]...)
	frame := func(kind byte, payload []byte) []byte {
		b := binary.AppendUvarint(nil, uint64(len(payload)+1))
		return append(append(b, kind), payload...)
	}
	attacks := map[string][]byte{
		"not our protocol":    []byte("GET / HTTP/1.1\r\nHost: x\r\nX-Padding: 0123456789012345678901234567890123456789\r\n\r\n"),
		"another network":     append([]byte{34, 1, 1}, make([]byte, 32)...),
		"a frame of 2^60":     append(bytes.Clone(hello), binary.AppendUvarint(nil, 1<<60)...),
		"an empty frame":      append(bytes.Clone(hello), 0),
		"a torn dataset list": append(bytes.Clone(hello), frame(2, make([]byte, 17))...),
		"a torn root":         append(bytes.Clone(hello), frame(3, make([]byte, 5))...),
		"a torn want":         append(bytes.Clone(hello), frame(5, []byte{1, 2, 3})...),
		"a torn credit":       append(bytes.Clone(hello), frame(8, []byte{0x80})...),
	}
	for name, bytes := range attacks {
		t.Run(name, func(t *testing.T) {
			// A new identity for each, or the blame for one would end the next.
			_, key, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			enemy, err := p2p.New(p2p.Config{Key: key, Tag: "enemy", Listen: []string{"127.0.0.1:0"}})
			if err != nil {
				t.Fatal(err)
			}
			defer enemy.Close()
			if err := enemy.Connect(ctx, victim.Addrs()[0]); err != nil {
				t.Fatal(err)
			}
			s, err := enemy.Open(ctx, victim.ID(), "/numax/sync/1")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := s.Write(bytes); err != nil {
				t.Fatal(err)
			}
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				_, _ = io.Copy(io.Discard, s)
			}()
			select {
			case <-closed:
			case <-time.After(deadline):
				t.Errorf("the victim still talks after %s", hex.EncodeToString(bytes[:min(len(bytes), 40)]))
			}
		})
	}

	victim.fill(t, 4)
	honest.wait(t, 7)
}
