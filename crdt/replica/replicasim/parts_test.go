package replicasim

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"
)

// A stream delivers in order, late by its latency and rate; torn, it ends
// somewhere in what was under way.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHalf(100*time.Millisecond, 1000)
		began := time.Now()
		if _, err := h.write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
		n, err := h.read(make([]byte, 1000))
		if took := time.Since(began); n != 500 || err != nil || took != 600*time.Millisecond {
			t.Errorf("read %d, %v after %v, want 500 after 600ms", n, err, took)
		}
		sent := []byte("a frame that is cut")
		_, _ = h.write(sent)
		h.tear(rand.New(rand.NewPCG(1, 1)))
		got, err := io.ReadAll(readFunc(h.read))
		if !errors.Is(err, io.ErrUnexpectedEOF) || len(got) >= len(sent) || !bytes.HasPrefix(sent, got) {
			t.Errorf("a torn stream gave %q, %v", got, err)
		}
		if _, err := h.write(sent); err == nil {
			t.Error("a torn stream takes bytes")
		}
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// A power cut spares what was synced, and any part of what follows.
func TestPowerCut(t *testing.T) {
	fd := storage.FileDesc{Type: storage.TypeJournal, Num: 1}
	lengths := make(map[int]bool)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		d := newDisk()
		w, err := d.Create(fd)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("kept"))
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("lost"))
		_ = w.Close()
		next, err := d.afterPowerCut(rng)
		if err != nil {
			t.Fatal(err)
		}
		r, err := next.Open(fd)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(r)
		if len(got) < 4 || !bytes.HasPrefix([]byte("keptlost"), got) {
			t.Fatalf("after a power cut: %q", got)
		}
		lengths[len(got)] = true
	}
	if len(lengths) != 5 {
		t.Errorf("lengths %v, want each of 4 to 8", lengths)
	}
}

// A plan is a function of its seed.
func TestPlanRepeats(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		a, b := newWorld(seed).plan, newWorld(seed).plan
		for k := range a {
			if len(a) != len(b) || a[k].String() != b[k].String() {
				t.Fatalf("seed %d: plans differ at %d: %v, %v", seed, k, a[k], b[k])
			}
		}
	}
}
