package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/datastore"
)

// A limit is what the machine can do of a part of the work when nothing else
// is to be done: one goroutine, the simplest loop. Every scenario measures the
// limit it is held against in the same run, since a shared machine is another
// one a minute later.

const (
	limitTime  = 300 * time.Millisecond // how long each limit is measured
	rowValue   = 100                    // bytes, where the scenario names no size
	batchRows  = 1024                   // of a burst
	headerSize = 256                    // bytes, about what an entry's signature covers
)

// limits measures all of them.
func limits(ctx context.Context, dir string, _ Params) (Result, error) {
	var r Result
	s, err := newSigned()
	if err != nil {
		return nil, err
	}
	r.perSecond("Ed25519 sign", rate(func(int) { ed25519.Sign(s.key, s.message) }))
	r.perSecond("Ed25519 verify", rate(s.verify))
	big := make([]byte, 1<<20)
	r.add("BLAKE3", BytesPerSecond, rate(func(int) { blake3.Sum256(big) })*float64(len(big)))
	for _, rows := range []int{1, 64, batchRows} {
		perSec, err := fsyncedRows(dir, rows, rowValue)
		if err != nil {
			return nil, err
		}
		r.perSecond(fmt.Sprintf("LevelDB rows, fsynced batches of %d", rows), perSec)
	}
	for _, rows := range []int{1, 64, batchRows} {
		perSec, err := writtenRows("", rows, rowValue)
		if err != nil {
			return nil, err
		}
		r.perSecond(fmt.Sprintf("LevelDB rows, batches of %d in memory, without fsync", rows), perSec)
	}
	for _, perEntry := range []int{1, 64} {
		for _, rows := range []int{perEntry, batchRows} {
			perSec, err := verifiedRows(dir, perEntry, rows)
			if err != nil {
				return nil, err
			}
			r.perSecond(verifiedName(perEntry, rows), perSec)
		}
	}
	bytes, err := tcpStream(ctx)
	if err != nil {
		return nil, err
	}
	r.add("TCP stream", BytesPerSecond, bytes)
	for _, t := range []struct{ name, listen string }{
		{"libp2p stream over TCP", "/ip4/127.0.0.1/tcp/0"},
		{"libp2p stream over QUIC", "/ip4/127.0.0.1/udp/0/quic-v1"},
	} {
		bytes, err := libp2pStream(ctx, t.listen)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		r.add(t.name, BytesPerSecond, bytes)
	}
	trip, err := tcpRoundTrip(ctx)
	if err != nil {
		return nil, err
	}
	r.time("TCP round trip of 64 bytes", trip)
	return r, nil
}

// rate is how often a second do can be called.
func rate(do func(n int)) float64 {
	began := time.Now()
	n := 0
	for time.Since(began) < limitTime {
		do(n)
		n++
	}
	return float64(n) / time.Since(began).Seconds()
}

// signed is a message with its signature.
type signed struct {
	key          ed25519.PrivateKey
	message, sig []byte
}

func newSigned() (*signed, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	message := make([]byte, headerSize)
	return &signed{key, message, ed25519.Sign(key, message)}, nil
}

func (s *signed) verify(int) { ed25519.Verify(s.key.Public().(ed25519.PublicKey), s.message, s.sig) }

// fsyncedRows is how many rows a second LevelDB takes in fsynced batches, on
// the disk that dir is on.
func fsyncedRows(dir string, rows, size int) (perSecond float64, err error) {
	return writtenRows(filepath.Join(dir, fmt.Sprintf("limit-%d-%d", rows, size)), rows, size)
}

// writtenRows writes to a LevelDB in dir; "" is memory, which is what is left
// of a write without its fsync: the system takes a file's bytes as it takes
// memory's.
func writtenRows(dir string, rows, size int) (perSecond float64, err error) {
	return inBatches(dir, rows, size, func() {})
}

// verifiedRows is how many ops a second can be verified and put on disk: a
// signature for each entry, a row for each op, an fsync for each batch of rows.
// It bounds what a node can do with the entries of another, but for what it
// gains by a second core.
func verifiedRows(dir string, perEntry, rows int) (perSecond float64, err error) {
	s, err := newSigned()
	if err != nil {
		return 0, err
	}
	return inBatches(filepath.Join(dir, fmt.Sprintf("limit-verified-%d-%d", perEntry, rows)), rows, rowValue, func() {
		for n := range rows / perEntry {
			s.verify(n)
		}
	})
}

func verifiedName(perEntry, rows int) string {
	return fmt.Sprintf("ops in entries of %d verified, fsynced in batches of %d", perEntry, rows)
}

// inBatches writes batches of new rows, does before ahead of each, and returns
// rows a second.
func inBatches(dir string, rows, size int, before func()) (perSecond float64, err error) {
	store, err := datastore.Open(dir, datastore.Options{})
	if err != nil {
		return 0, err
	}
	defer store.Close()
	value := make([]byte, size)
	if _, err := rand.Read(value); err != nil { // zeros would be compressed away
		return 0, err
	}
	perSecond = rate(func(n int) {
		before()
		var b datastore.Batch
		for i := range rows {
			b.Put(binary.BigEndian.AppendUint64([]byte("m"), uint64(n*rows+i)), value)
		}
		if werr := store.Write(&b); werr != nil {
			err = werr
		}
	}) * float64(rows)
	return perSecond, err
}

// pipe is a TCP connection over loopback.
func pipe(ctx context.Context) (near, far net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	var d net.Dialer
	if near, err = d.DialContext(ctx, "tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, ok := <-accepted
	if !ok {
		_ = near.Close()
		return nil, nil, fmt.Errorf("accept on %v: %w", l.Addr(), net.ErrClosed)
	}
	return near, far, nil
}
