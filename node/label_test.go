package node

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Names that are not UTF-8, such as those of files, do not panic, and go on to differ.
func TestLabel(t *testing.T) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c", Help: "h"}, []string{"name"})
	seen := make(map[string]bool)
	for name, want := range map[string]string{
		"a": "a", "ü\ufffd": "ü\ufffd", "a\xff": `a\xff`, "a\xfe": `a\xfe`, "\xc3": `\xc3`, "ü\xff\ufffd": "ü\\xff\ufffd",
	} {
		got := label(name)
		if got != want || seen[got] {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
		seen[got] = true
		c.WithLabelValues(got).Inc()
	}
	m := newMetrics(&Node{})
	m.counter("\xff.wasm")("commit", 1, 0)
}
