package bench

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// small is a size at which a scenario takes about a second.
var small = map[string]Params{
	"limits":     {},
	"apply":      {Ops: 20_000},
	"local":      {Ops: 2000},
	"store":      {Rate: 500, Duration: 200 * time.Millisecond, ValueSize: 100_000, KeySpace: 7},
	"remote":     {Ops: 2000, Keys: 2000},
	"remote-hot": {Ops: 2000, Keys: 10},
	"remote-1":   {Ops: 200, Keys: 200},
	"sync":       {Ops: 4000, Objects: 10, Missing: 100},
	"heal":       {Ops: 1000, Keys: 1000},
	"relink":     {Cuts: 1, Duration: 10 * time.Millisecond},
	"replicate":  {Nodes: 3, Rate: 200, Duration: time.Second},
	"burst":      {Nodes: 2, Ops: 5000},
	"latency":    {Nodes: 3, Ops: 10},
	"react":      {Ops: 10},
	"instances":  {Objects: 20},
	"hostile":    {Duration: 600 * time.Millisecond},
	"bootstrap":  {Ops: 3000, Keys: 3000},
	"join":       {Ops: 3000, Keys: 3000},
	"reclaim":    {Keys: 8000, ValueSize: 64},
}

// ownProcess need the program itself; the scripts of cmd/numax-node run them.
var ownProcess = []string{"restart", "chaos"}

// measured runs a scenario and returns its figures by name.
func measured(t *testing.T, name string, p Params) map[string]Figure {
	t.Helper()
	s, ok := Find(name)
	if !ok {
		t.Fatalf("no scenario %q", name)
	}
	r, err := measureOnce(t.Context(), s, p, t.TempDir())
	if err != nil {
		t.Fatalf("%s %+v: %v", name, p, err)
	}
	figures := make(map[string]Figure)
	for _, f := range r {
		if _, twice := figures[f.Name]; twice {
			t.Errorf("%s: figure %q twice", name, f.Name)
		}
		if math.IsNaN(f.Value) || math.IsInf(f.Value, 0) || f.Value < 0 {
			t.Errorf("%s: %s: got %v, want a number of 0 or more", name, f.Name, f.Value)
		}
		figures[f.Name] = f
	}
	return figures
}

// Every scenario says how much it did, how that compares with a limit, and its
// percentiles rise.
func TestScenarios(t *testing.T) {
	for _, s := range Scenarios {
		if slices.Contains(ownProcess, s.Name) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			p, ok := small[s.Name]
			if s.Name == "text" {
				p, ok = Params{File: writeTrace(t, "wörld", "wxrld")}, true
			}
			if !ok {
				t.Fatal("no small size for it")
			}
			figures := measured(t, s.Name, p)
			for name, f := range figures {
				of, ok := strings.CutSuffix(name, " p50")
				if !ok {
					continue
				}
				last := f.Value
				for _, up := range []string{" p95", " p99", " max"} {
					if v := figures[of+up].Value; v < last {
						t.Errorf("%s%s: got %v, want at least %v", of, up, v, last)
					} else {
						last = v
					}
				}
			}
			if s.Name == "limits" {
				return
			}
			if figures["ops"].Value <= 0 {
				t.Errorf("ops: got %v, want some", figures["ops"].Value)
			}
			ratios := 0
			for name, f := range figures {
				if strings.HasPrefix(name, "ratio to ") && f.Value > 0 {
					ratios++
				}
			}
			if ratios == 0 {
				t.Error("no ratio to a limit")
			}
		})
	}
}

// writeTrace writes an editing trace that types a text and then replaces its
// second character by x. end is the text that it claims to end in.
func writeTrace(t *testing.T, text, end string) (file string) {
	t.Helper()
	patches := []any{}
	for i, c := range []rune(text) {
		patches = append(patches, []any{i, 0, string(c)})
	}
	patches = append(patches, []any{1, 1, "x"})
	file = filepath.Join(t.TempDir(), "trace.json.gz")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	err = json.NewEncoder(z).Encode(map[string]any{"endContent": end, "txns": []any{map[string]any{"patches": patches}}})
	if err := errors.Join(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

// A trace that does not end as it says is an error: the replay is wrong, or it.
func TestTextChecksTheEnd(t *testing.T) {
	t.Parallel()
	s, _ := Find("text")
	p := Params{File: writeTrace(t, "wörld", "something else")}
	if _, err := measureOnce(t.Context(), s, p, t.TempDir()); err == nil {
		t.Error("no error")
	}
}

// The two latencies are different things: under load both are there.
func TestReplicateMeasuresCallsAndVisibility(t *testing.T) {
	t.Parallel()
	f := measured(t, "replicate", small["replicate"])
	for _, name := range []string{"guest call p99", "visible elsewhere p99", "all equal after the last op", "on the wire", "on disk", "entries made", "entry as it was announced"} {
		if f[name].Value <= 0 {
			t.Errorf("%s: got %v, want more than 0", name, f[name].Value)
		}
	}
	// Each of 3 nodes updates its probe every 200 ms for a second, for 2 others.
	if n := f["updates watched for"].Value; n < 3*2*4 {
		t.Errorf("updates watched for: got %v, want about 30", n)
	}
	if got := f["ops"].Value; got != 3*200 {
		t.Errorf("ops: got %v, want 600", got)
	}
}

// Lost gossip costs time, never an op.
func TestLatencyUnderLoss(t *testing.T) {
	t.Parallel()
	f := measured(t, "latency", Params{Nodes: 3, Ops: 12, Loss: .7})
	if f["gossip messages lost"].Value == 0 {
		t.Error("no gossip message was lost: nothing was measured")
	}
	if got := f["ops missing in the end"].Value; got != 0 {
		t.Errorf("ops missing in the end: got %v, want 0", got)
	}
}

// What an exchange costs follows what differs, not what exists.
func TestSyncCost(t *testing.T) {
	t.Parallel()
	f := measured(t, "sync", Params{Ops: 30_000, Objects: 100, Missing: 100})
	if trips := f["of 30000 ops: round trips"].Value; trips < 1 {
		t.Errorf("round trips: got %v, want at least 1", trips)
	}
	if b := f["of 1000 ops: beacons of two equal replicas"].Value; b <= 0 || b > 1000 {
		t.Errorf("bytes of beacons: got %v, want a few", b)
	}
	if r := f["exchange in the large dataset by that in the small"].Value; r < .5 || r > 2 {
		t.Errorf("the exchange in a dataset 30 times as large: %v times the bytes, want about 1", r)
	}
}

// A paced load makes what was asked for, in even rounds.
func TestPaced(t *testing.T) {
	for _, x := range []struct {
		rate int
		d    time.Duration
		ops  int
	}{
		{1, 3 * time.Second, 3},
		{100, 300 * time.Second, 30_000},
		{1000, 10 * time.Second, 10_000},
		{150, time.Second, 150},
		{1_000_000, time.Second, 1_000_000},
		{1, 100 * time.Millisecond, 1},
	} {
		p := paced(x.rate, x.d)
		if got := p.ops(); got != x.ops {
			t.Errorf("paced(%d, %v): got %d ops, want %d", x.rate, x.d, got, x.ops)
		}
		if got := p.every * time.Duration(p.rounds); x.ops > 1 && (got-x.d).Abs() > x.d/100 {
			t.Errorf("paced(%d, %v): rounds take %v, want %v", x.rate, x.d, got, x.d)
		}
	}
}

func TestPercentile(t *testing.T) {
	var r Result
	var took []time.Duration
	for i := 100; i > 0; i-- {
		took = append(took, time.Duration(i))
	}
	r.latency("x", took)
	for i, want := range []float64{50, 95, 99, 100} {
		if r[i].Value != want {
			t.Errorf("%s of 1 to 100: got %v, want %v", r[i].Name, r[i].Value, want)
		}
	}
	var none Result
	if none.latency("x", nil); len(none) != 0 {
		t.Errorf("of no times: got %v, want nothing", none)
	}
}

func TestReport(t *testing.T) {
	s, _ := Find("apply")
	runs := []Result{
		{{"ops/s", PerSecond, 30}, {"RSS", Bytes, 1}},
		{{"ops/s", PerSecond, 10}, {"RSS", Bytes, 2}},
		{{"ops/s", PerSecond, 20}},
	}
	r := report(s, Params{Ops: 5}, runs)
	if r.Scenario != "apply" || r.Flags != "--ops 5" || r.Runs != 3 || len(r.Figures) != 2 {
		t.Fatalf("got %+v", r)
	}
	if f := r.Figures[0]; f.Median != 20 || f.Min != 10 || f.Max != 30 || !slices.Equal(f.Runs, []float64{30, 10, 20}) {
		t.Errorf("ops/s of 30, 10, 20: got %+v", f)
	}
	if f := r.Figures[1]; f.Median != 1.5 {
		t.Errorf("median of 1 and 2: got %v, want 1.5", f.Median)
	}
}

// Every parameter is bounded, and a scenario names only those there are.
func TestParams(t *testing.T) {
	known := func(name string) bool {
		return slices.ContainsFunc(AllParams, func(p Param) bool { return p.Name == name })
	}
	all := func(string) bool { return true }
	for _, s := range Scenarios {
		for _, name := range strings.Fields(s.Takes) {
			if !known(name) {
				t.Errorf("%s takes --%s, which there is not", s.Name, name)
			}
		}
		if _, err := s.Params(s.Defaults, all); err != nil {
			t.Errorf("%s: its own defaults: %v", s.Name, err)
		}
	}
	s, _ := Find("latency")
	for _, bad := range []Params{
		{Nodes: 1, Ops: 1},
		{Nodes: 65, Ops: 1},
		{Nodes: 2, Ops: 0},
		{Nodes: 2, Ops: -1},
		{Nodes: 2, Ops: 1, Loss: 1},
		{Nodes: 2, Ops: 1, Loss: -.1},
		{Nodes: 2, Ops: 1, Loss: math.NaN()},
	} {
		if _, err := s.Params(bad, all); err == nil {
			t.Errorf("latency %+v: no error", bad)
		}
	}
	s, _ = Find("sync")
	if _, err := s.Params(Params{Ops: 10, Objects: 1, Missing: 11}, all); err == nil {
		t.Error("sync with more missing than there is: no error")
	}
	// What a scenario does not take stays as it is.
	s, _ = Find("apply")
	if p, err := s.Params(Params{Ops: 3, Nodes: 9}, all); err != nil || p != (Params{Ops: 3}) {
		t.Errorf("apply with --nodes: got %+v, %v", p, err)
	}
}
