package node_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/numax-mesh/numax/node"
)

// panel is what counts of a panel of a Grafana dashboard.
type panel struct {
	ID         int    `json:"id"`
	Title      string `json:"title"`
	Datasource struct {
		UID string `json:"uid"`
	} `json:"datasource"`
	Targets []struct {
		Expr string `json:"expr"`
	} `json:"targets"`
}

var metricName = regexp.MustCompile(`\b(numax|libp2p|go|process)_[a-z0-9_]+`)

// The dashboards and alarms of examples/monitoring show what a node exports, and nothing
// that it does not.
func TestDashboards(t *testing.T) {
	n := start(t, node.Config{Observability: "127.0.0.1:0", Reachability: "public"})
	exported := described(n.Registry())
	resp, err := http.Get("http://" + n.Observability() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	served, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"\nnumax_", "\nlibp2p_"} {
		if !strings.Contains(string(served), prefix) {
			t.Errorf("/metrics has nothing with %q", prefix)
		}
	}
	check := func(where, expr string) {
		t.Helper()
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s: %q shows no metric", where, expr)
		}
		for _, name := range names {
			if !exported[name] && !exported[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s: a node exports no %s", where, name)
			}
		}
	}
	readme, err := os.ReadFile("../examples/monitoring/README.md")
	if err != nil {
		t.Fatal(err)
	}
	check("the alarms of the README", string(readme))
	files, err := filepath.Glob("../examples/monitoring/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var dashboard struct {
			UID    string  `json:"uid"`
			Panels []panel `json:"panels"`
		}
		if err := json.Unmarshal(b, &dashboard); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if dashboard.UID == "" || len(dashboard.Panels) == 0 {
			t.Errorf("%s: no uid, or no panels", file)
		}
		seen := make(map[int]bool)
		for _, p := range dashboard.Panels {
			if p.Title == "" || seen[p.ID] || p.Datasource.UID != "${source}" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %d %q: want a title, an id of its own, the source that was chosen, and something to show", file, p.ID, p.Title)
			}
			seen[p.ID] = true
			for _, x := range p.Targets {
				check(file+": "+p.Title, x.Expr)
			}
		}
	}
}

var fullName = regexp.MustCompile(`fqName: "([^"]*)"`)

// described are the names of all metrics of a registry, also of those that have
// no value yet.
func described(r *prometheus.Registry) map[string]bool {
	names := make(map[string]bool)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		r.Describe(descs)
	}()
	for d := range descs {
		if m := fullName.FindStringSubmatch(d.String()); m != nil {
			names[m[1]] = true
		}
	}
	return names
}

// described knows a name from one that is none.
func TestDescribed(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "numax_x_total", Help: "x"}, []string{"a"}))
	if got := described(r); !got["numax_x_total"] || len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if got := metricName.FindAllString(`sum by (way) (rate(numax_a_total{x="numax"}[5m])) / go_goroutines`, -1); !slices.Equal(got, []string{"numax_a_total", "go_goroutines"}) {
		t.Errorf("got %v", got)
	}
}
