//go:build !wasip1

package nx

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	Reset()
	for why, c := range map[string]struct{ got, want error }{
		"reserved":       {GCounter("__nx/x").Add(1), ErrReserved},
		"reserved bytes": {Put([]byte("__nx/"), nil), ErrReserved},
		"not UTF-8":      {Set("\xff").Add("x"), ErrInvalid},
		"long field":     {Map("m").Remove(strings.Repeat("f", 8<<10+1)), ErrInvalid},
		"large value":    {Register("r").Set(make([]byte, 1<<20+1)), ErrInvalid},
		"raw key":        {Put([]byte("\xff"), nil), nil},
		"event name":     {Emit("a b", nil), ErrInvalid},
		"long line":      {Log(strings.Repeat("l", 8<<10+1)), ErrInvalid},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", why, c.got, c.want)
		}
	}
	for code, want := range map[int32]error{-3: ErrInvalid, -5: ErrSyncOff, -6: ErrDenied, -7: ErrQuota, -8: ErrBusy, -99: ErrInvalid, 0: nil, 9: nil} {
		if got := check(code); got != want {
			t.Errorf("code %d is %v, want %v", code, got, want)
		}
	}
}

func TestCountersClamp(t *testing.T) {
	Reset()
	g, p := GCounter("g"), PNCounter("p")
	_, _, _, _ = g.Add(math.MaxUint64), g.Add(5), p.Add(math.MinInt64), p.Add(-1)
	if v, err := g.Value(); v != math.MaxUint64 || err != nil {
		t.Errorf("gcounter is %d, %v", v, err)
	}
	if v, err := p.Value(); v != math.MinInt64 || err != nil {
		t.Errorf("pncounter is %d, %v", v, err)
	}
}

// Answers of any size up to the limit arrive whole, and larger ones are an error.
func TestPull(t *testing.T) {
	for _, size := range []int{0, 1, firstBuffer, firstBuffer + 1, maxBuffer} {
		Reset()
		want := bytes.Repeat([]byte{'v'}, size)
		if err := Put([]byte("k"), want); err != nil {
			t.Fatal(err)
		}
		if got, ok, err := Get([]byte("k")); !bytes.Equal(got, want) || !ok || err != nil {
			t.Errorf("%d bytes: got %d, %v, %v", size, len(got), ok, err)
		}
	}
	if _, err := Scan(nil, nil, 10); !errors.Is(err, ErrTooLarge) {
		t.Errorf("page over 1 MiB: %v", err)
	}
	if _, ok, err := Get([]byte("none")); ok || err != nil {
		t.Errorf("absent: %v, %v", ok, err)
	}
}

func FuzzRows(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 1, 0, 0, 0, 'a', 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		total := 0
		each(data, func(r *rows) { total += len(r.field()) + len(r.field()) })
		if total > len(data) {
			t.Errorf("%d bytes out of %d", total, len(data))
		}
	})
}
