package bench

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/numax-mesh/numax/p2p"
)

// relink measures how soon an op that was written behind a cut link is seen
// when the link returns.
//
//	b ── bootstrap ──► proxy ──► a
//
// b knows a only by the proxy's address. A peer also says where it listens
// itself, which on loopback would be a way around the proxy; so a comes back on
// another port each time, as after a new lease, and forgets b: only b can
// dial, and only through the proxy.
func relink(ctx context.Context, dir string, p Params) (Result, error) {
	a, err := openWired(filepath.Join(dir, "a"), 0)
	if err != nil {
		return nil, err
	}
	defer a.shut()
	b, err := openWired(filepath.Join(dir, "b"), 0)
	if err != nil {
		return nil, err
	}
	defer b.shut()
	x, err := startProxy()
	if err != nil {
		return nil, err
	}
	defer x.close()
	if err := a.attach(); err != nil {
		return nil, err
	}
	x.up(hostPort(a.addrs()[0]))
	if err := b.attach("/ip4/127.0.0.1/tcp/" + x.port() + "/p2p/" + a.mesh.self); err != nil {
		return nil, err
	}
	if err := untilSettled(ctx, a.bare, b.bare); err != nil {
		return nil, err
	}
	var took []time.Duration
	began := time.Now()
	for n := range uint64(p.Cuts) {
		x.down()
		a.detach()
		if err := a.attach(); err != nil {
			return nil, err
		}
		if err := a.inc(ctx, counterKey); err != nil {
			return nil, err
		}
		// Not in step with the redials of b.
		if err := pause(ctx, p.Duration+rand.N(redialSpread)); err != nil {
			return nil, err
		}
		back := time.Now()
		x.up(hostPort(a.addrs()[0]))
		err := soon(ctx, func() (bool, error) { v, err := b.value(counterKey); return v == n+1, err })
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(back))
	}
	var r Result
	r.work(p.Cuts, time.Since(began))
	r.latency("first op seen after the link's return", took)
	r.bytes("on disk", a.store.Size()+b.store.Size())
	r.resident(ownResidentBytes())
	limit, err := connectTime(ctx)
	if err != nil {
		return nil, err
	}
	r.above("a libp2p connection", limit, percentile(took, .5))
	return r, nil
}

// redialSpread is more than the time between two dials of a known peer.
const redialSpread = 2500 * time.Millisecond

// hostPort is where a multiaddr of the form /ip4/HOST/tcp/PORT/… points.
func hostPort(addr string) string {
	part := strings.Split(addr, "/")
	return part[2] + ":" + part[4]
}

// connectTime is how long two hosts take to connect: dial, handshakes,
// identify.
func connectTime(ctx context.Context) (time.Duration, error) {
	listen := p2p.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}}
	a, err := newHost(listen)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	b, err := newHost(listen)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	began := time.Now()
	err = a.Connect(ctx, b.Addrs()[0])
	return time.Since(began), err
}
