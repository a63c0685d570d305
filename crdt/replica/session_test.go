package replica_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/crdt/replica/replicatest"
)

// A peer that sends garbage is cut off and kept off; the node lives on.
func TestGarbageOnTheStream(t *testing.T) {
	network := replica.OpenNetwork(replicatest.NetworkName)
	hello := append([]byte{34, 1, 1}, network[:]...)
	other := append([]byte{34, 1, 1}, make([]byte, 32)...)
	huge := binary.AppendUvarint(nil, 1<<40)
	for _, c := range []struct {
		name   string
		sent   []byte
		blamed bool
	}{
		{"no hello", []byte{2, 7, 1}, false},
		{"another network", other, false},
		{"a huge frame", append(bytes.Clone(hello), huge...), true},
		{"an empty frame", append(bytes.Clone(hello), 0), true},
		{"half an id", append(bytes.Clone(hello), 3, 2, 1, 1), true},
		{"a short root", append(bytes.Clone(hello), 3, 3, 1, 1), true},
		{"a short want", append(bytes.Clone(hello), 3, 5, 1, 1), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := replicatest.New(t, 1)
			a, b := n.Start("a"), n.Start("b")
			stream, ended := n.Dial("mallory", "a")
			go func() { _, _ = io.Copy(io.Discard, stream) }()
			go func() { _, _ = stream.Write(c.sent) }()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("no error")
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the stream is still open")
			}
			if c.blamed {
				_, again := n.Dial("mallory", "a")
				select {
				case <-again:
				case <-time.After(10 * time.Second):
					t.Error("taken back at once")
				}
			}
			a.Inc("k")
			n.Wait("the others to go on", sees(b, "k", "1"))
		})
	}
}
