package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"path/filepath"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/datastore"
)

// limitTime is how long each limit is measured.
const limitTime = 300 * time.Millisecond

// limits measures what no node on this machine can exceed.
func limits(_ context.Context, dir string, _ Params) (Result, error) {
	r := Result{Scenario: "limits"}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return r, err
	}
	message := make([]byte, 256)
	sig := ed25519.Sign(key, message)
	big := make([]byte, 1<<20)
	r.Limits = map[string]float64{
		"ed25519 sign/s":   rate(func(int) { ed25519.Sign(key, message) }),
		"ed25519 verify/s": rate(func(int) { ed25519.Verify(pub, message, sig) }),
		"blake3 MB/s":      rate(func(int) { blake3.Sum256(big) }),
	}
	store, err := datastore.Open(filepath.Join(dir, "db"), datastore.Options{})
	if err != nil {
		return r, err
	}
	defer store.Close()
	value := make([]byte, 100)
	for _, rows := range []int{1, 64, 1024} {
		var failed error
		perSec := rate(func(n int) {
			var b datastore.Batch
			for i := range rows {
				k := binary.BigEndian.AppendUint64([]byte("m"), uint64(n*rows+i))
				b.Put(k, value)
			}
			if err := store.Write(&b); err != nil {
				failed = err
			}
		})
		if failed != nil {
			return r, failed
		}
		r.Limits["fsynced rows/s in batches of "+itoa(rows)] = perSec * float64(rows)
	}
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
