package node

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/numax-mesh/numax/node/supervisor"

	"github.com/numax-mesh/numax/p2p"
)

// metrics are read from the rooms' own counters when they are scraped, but for
// those of guests, which are counted as they run.
type metrics struct {
	registry   *prometheus.Registry
	guestCalls *prometheus.CounterVec
	guestTime  *prometheus.CounterVec
	guestRuns  *prometheus.CounterVec
}

func newMetrics(n *Node) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.guestCalls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "numax_guest_calls_total", Help: "Host calls made by guests.",
	}, []string{"module", "call"})
	m.guestTime = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "numax_guest_call_seconds_total", Help: "Time spent in host calls, of which some are timed.",
	}, []string{"module", "call"})
	m.guestRuns = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "numax_guest_runs_total", Help: "Module runs by outcome.",
	}, []string{"module", "outcome"})
	m.registry.MustRegister(m.guestCalls, m.guestTime, m.guestRuns, nodeCollector{n},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("numax_"+name, help, labels, nil)
}

var (
	descOps       = desc("ops_total", "Ops applied, by where they were made.", "origin")
	descEntries   = desc("entries_total", "Entries put in the log, by where they were made.", "origin")
	descCommits   = desc("commits_total", "Fsynced batches.")
	descBytes     = desc("sync_bytes_total", "Bytes by cause and direction.", "cause", "direction")
	descNetwork   = desc("network_bytes_total", "Bytes over all connections.", "direction")
	descRepairs   = desc("repairs_total", "Exchanges begun.")
	descRepaired  = desc("repaired_entries_total", "Entries that came by repair and were news.")
	descRejected  = desc("rejected_entries_total", "Malformed or forged entries.")
	descForks     = desc("forks_total", "Authors that were found to have signed two logs.")
	descJoined    = desc("states_joined_total", "Whole states taken over from peers whose logs are cut.")
	descBuried    = desc("tombstones_dropped_total", "Tombstones that nobody needs any more.")
	descDropped   = desc("gossip_dropped_total", "Gossip messages lost in this node's queues.")
	descStore     = desc("store_bytes", "Size of the store on disk.")
	descPeers     = desc("peers", "Connected peers of the network.")
	descStrangers = desc("strangers", "Connected peers that are no members of the closed network.")
	descReached   = desc("peers_reached", "Connected peers, by how they are reached: lan, direct, punched or relayed.", "way")
	descRTT       = desc("peer_rtt_seconds", "Round-trip time to a peer, averaged over its pings.", "peer")
	descLag       = desc("peer_lag_ops", "Ops that we have and a peer lacks, as it last said.", "peer", "dataset")
	descModule    = desc("module_running", "1 while a module runs.", "module", "version", "state")
	descEvents    = desc("module_calls_total", "Calls of a module's exports.", "module", "export")
	descFailed    = desc("module_failures_total", "Calls of a module that failed.", "module")
	descRestarts  = desc("module_restarts_total", "Starts of a module after a failure.", "module")
	descDenied    = desc("module_denied_total", "Host calls that a module was not granted.", "module", "call")
	descRefused   = desc("module_refused_writes_total", "Writes of a module over its quota.", "module")
	descWaiting   = desc("module_mailbox_events", "Events that wait for a module.", "module")
	descLost      = desc("module_dropped_events_total", "Events that found the module's mailbox full.", "module")
	descCPU       = desc("module_cpu_seconds_total", "Time a module computed.", "module")
	descThrottled = desc("module_throttled_seconds_total", "Time a module waited because it had used its share of CPU.", "module")
	descKeys      = desc("module_storage_bytes", "Bytes of a module's own keys and values, and its blobs.", "module")
	descOutbox    = desc("messages_waiting", "Messages that were sent and have not been taken yet.")
	descUnheard   = desc("messages_lost_total", "Messages kept from a subscriber by a full mailbox, or by a rate.")
	descHealthy   = desc("writable", "1 while writes reach the disk.")
)

type nodeCollector struct{ n *Node }

func (nodeCollector) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descOps, descEntries, descCommits, descBytes, descNetwork, descRepairs,
		descRepaired, descRejected, descForks, descJoined, descBuried, descDropped, descStore, descPeers, descStrangers, descReached, descRTT, descLag, descHealthy,
		descModule, descEvents, descFailed, descRestarts, descDenied, descRefused, descWaiting, descLost, descCPU, descThrottled, descKeys,
		descOutbox, descUnheard,
	} {
		c <- d
	}
}

func (x nodeCollector) Collect(c chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labelled(labels)...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labelled(labels)...)
	}
	s := x.n.state.replica.Stats()
	count(descOps, s.OpsLocal.Load(), "local")
	count(descOps, s.OpsRemote.Load(), "remote")
	count(descEntries, s.EntriesLocal.Load(), "local")
	count(descEntries, s.EntriesRemote.Load(), "remote")
	count(descCommits, s.Commits.Load())
	count(descBytes, s.GossipOut.Load(), "gossip", "out")
	count(descBytes, s.GossipIn.Load(), "gossip", "in")
	count(descBytes, s.SyncIn.Load(), "repair", "in")
	count(descBytes, s.SyncOut.Load(), "repair", "out")
	count(descRepairs, s.Repairs.Load())
	count(descRepaired, s.EntriesRepaired.Load())
	count(descRejected, s.Rejected.Load())
	count(descForks, s.Forks.Load())
	count(descJoined, s.StatesJoined.Load())
	count(descBuried, s.TombstonesDropped.Load())
	gauge(descStore, float64(x.n.state.store.Size()))
	messages := x.n.bus.Stats()
	gauge(descOutbox, float64(messages.Waiting))
	count(descUnheard, messages.Lost)
	healthy := 1.0
	if x.n.state.replica.Failure() != nil {
		healthy = 0
	}
	gauge(descHealthy, healthy)
	x.collectModules(c)
	if x.n.host == nil {
		return
	}
	in, out := x.n.host.Traffic()
	count(descNetwork, uint64(in), "in")
	count(descNetwork, uint64(out), "out")
	count(descDropped, x.n.host.Dropped())
	members, strangers := 0, 0
	ways := map[p2p.Way]int{p2p.LAN: 0, p2p.Direct: 0, p2p.Punched: 0, p2p.Relayed: 0}
	for _, p := range x.n.host.Connected() {
		if !p.Member {
			strangers++
			continue
		}
		members++
		ways[p.Way]++
		if p.RTT > 0 {
			gauge(descRTT, p.RTT.Seconds(), p.ID)
		}
	}
	gauge(descPeers, float64(members))
	gauge(descStrangers, float64(strangers))
	for w, count := range ways {
		gauge(descReached, float64(count), string(w))
	}
	for _, p := range x.n.state.replica.Peers() {
		for dataset, lag := range p.Lag {
			gauge(descLag, float64(lag), p.Peer, dataset)
		}
	}
}

func (x nodeCollector) collectModules(c chan<- prometheus.Metric) {
	all, err := x.n.Modules()
	if err != nil {
		return
	}
	for _, m := range all {
		add := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
			c <- prometheus.MustNewConstMetric(d, t, v, labelled(append([]string{m.Name}, labels...))...)
		}
		running := 0.0
		if m.State == string(supervisor.Running) {
			running = 1
		}
		add(descModule, prometheus.GaugeValue, running, m.Version, m.State)
		for export, n := range m.Calls {
			add(descEvents, prometheus.CounterValue, float64(n), export)
		}
		for call, n := range m.Denied {
			add(descDenied, prometheus.CounterValue, float64(n), call)
		}
		for d, v := range map[*prometheus.Desc]float64{
			descFailed: float64(m.Failed), descRestarts: float64(m.Restarts), descRefused: float64(m.Refused),
			descLost: float64(m.Dropped), descCPU: m.CPU, descThrottled: m.Throttled,
		} {
			add(d, prometheus.CounterValue, v)
		}
		add(descWaiting, prometheus.GaugeValue, float64(m.Waiting))
		add(descKeys, prometheus.GaugeValue, float64(m.Storage))
	}
}

// label is a name as a label may be, which panics on what is not UTF-8, as the name of a file may be. Names that differ
// go on to differ.
func label(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i, r := range name { // U+FFFD for each byte that is none
		if n := utf8.RuneLen(r); r != utf8.RuneError || strings.HasPrefix(name[i:], "\ufffd") {
			b.WriteString(name[i : i+n])
		} else {
			fmt.Fprintf(&b, "\\x%02x", name[i])
		}
	}
	return b.String()
}

func labelled(names []string) []string {
	safe := make([]string, len(names))
	for i, name := range names {
		safe[i] = label(name)
	}
	return safe
}

// counter counts a guest's calls.
func (m *metrics) counter(module string) func(call string, calls uint64, took time.Duration) {
	type pair struct{ calls, time prometheus.Counter }
	module = label(module)
	known := make(map[string]pair) // a guest makes one call at a time
	return func(call string, calls uint64, took time.Duration) {
		p, ok := known[call]
		if !ok {
			p = pair{m.guestCalls.WithLabelValues(module, call), m.guestTime.WithLabelValues(module, call)}
			known[call] = p
		}
		p.calls.Add(float64(calls))
		p.time.Add(took.Seconds())
	}
}

// observability serves /health (the process answers), /ready (writes reach
// the disk), /metrics, and with Config.Pprof /debug/pprof.
func (n *Node) observability() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok", "") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := n.state.replica.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, "not ready", err.Error())
			return
		}
		answer(w, http.StatusOK, "ready", "")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics.registry, promhttp.HandlerOpts{}))
	if n.cfg.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func answer(w http.ResponseWriter, code int, status, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(struct {
		Status string `json:"status"`
		Reason string `json:"reason,omitempty"`
	}{status, reason})
}
