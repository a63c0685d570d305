package p2p

import (
	"github.com/libp2p/go-libp2p"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
)

// libp2p counts for whoever looks: without Config.Metrics it does not. What is
// made here and not by libp2p's own constructor has to be told so by itself.

func (h *Host) metrics() libp2p.Option {
	if h.cfg.Metrics == nil {
		return libp2p.DisableMetrics()
	}
	return libp2p.PrometheusRegisterer(h.cfg.Metrics)
}

func (h *Host) resourceMetrics() rcmgr.Option {
	if h.cfg.Metrics == nil {
		return rcmgr.WithMetricsDisabled()
	}
	return rcmgr.WithTraceReporter(rcmgr.StatsTraceReporter{})
}

func (h *Host) relayMetrics() relay.Option {
	if h.cfg.Metrics == nil {
		return func(*relay.Relay) error { return nil }
	}
	return relay.WithMetricsTracer(relay.NewMetricsTracer(relay.WithRegisterer(h.cfg.Metrics)))
}

func (h *Host) punchTracer(p punches) holepunch.Option {
	if h.cfg.Metrics == nil {
		return holepunch.WithTracer(p)
	}
	return holepunch.WithMetricsAndEventTracer(holepunch.NewMetricsTracer(holepunch.WithRegisterer(h.cfg.Metrics)), p)
}
