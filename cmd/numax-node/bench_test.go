package main

import (
	"strings"
	"testing"

	"github.com/numax-mesh/numax/node/bench"
)

func TestShowFigure(t *testing.T) {
	for _, x := range []struct {
		u    bench.Unit
		v    float64
		want string
	}{
		{bench.Count, 1234567, "1,234,567"},
		{bench.Count, 7, "7"},
		{bench.Nanoseconds, 501, "501ns"},
		{bench.Nanoseconds, 1_234_567, "1.23ms"},
		{bench.Nanoseconds, 61_234_567_890, "1m1.2s"},
		{bench.Bytes, 0, "0 B"},
		{bench.Bytes, 9999, "9,999 B"},
		{bench.Bytes, 10_000, "10 kB"},
		{bench.Bytes, 1_234_567, "1.23 MB"},
		{bench.BytesPerSecond, 3.1e9, "3.1 GB/s"},
		{bench.PerSecond, 830_123.4, "830,000 /s"},
		{bench.PerSecond, 0.2031, "0.203 /s"},
		{bench.Ratio, 0.001234, "0.00123 ×"},
		{bench.Ratio, 1, "1 ×"},
	} {
		if got := showFigure(x.u, x.v); got != x.want {
			t.Errorf("showFigure(%s, %v): got %q, want %q", x.u, x.v, got, x.want)
		}
	}
}

func TestPrintReport(t *testing.T) {
	var b strings.Builder
	err := printReport(&b, bench.Report{Scenario: "heal", Flags: "--ops 5", Runs: 2, Figures: []bench.Summary{
		{Name: "ops", Unit: bench.Count, Median: 5, Min: 5, Max: 5},
		{Name: "elapsed", Unit: bench.Nanoseconds, Median: 2e6, Min: 1e6, Max: 3e6},
	}})
	want := "heal --ops 5, medians of 2 runs\n" +
		"    ops                 5\n" +
		"    elapsed           2ms   (1ms to 3ms)\n"
	if err != nil || b.String() != want {
		t.Errorf("got %q, %v\nwant %q", b.String(), err, want)
	}
}
