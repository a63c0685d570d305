package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/door"
)

// liveName ends the paths under which a page follows a dataset.
const liveName = ".live"

// Limits of live connections.
const (
	maxLive       = 256   // of one module; then the first of the client with the most ends, if others have fewer
	maxLiveClient = 64    // of them from one client; more are refused
	maxLiveRows   = 10000 // objects told at the start
	beatEvery     = 15 * time.Second
	liveWrite     = 30 * time.Second // a page that takes no event for so long is let go
)

// live tells a page of objects that the module may read, as server-sent events: first each as it is, then each that
// changed, coalesced; "ready" stands between the two. Query parameters: dataset (the module's first by default),
// prefix of the keys.
//
//	event: value
//	data: {"family":"lww-map","key":"todo/1","fields":{…}}
func (u *unit) live(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	grants := u.granted()
	dataset, prefix := q.Get("dataset"), q.Get("prefix")
	if dataset == "" && len(grants.Data) > 0 {
		dataset = grants.Data[0].Dataset
	}
	if !grants.CanWatch(dataset, prefix) {
		http.Error(w, fmt.Sprintf("the module may not read %q of dataset %q", prefix, dataset), http.StatusForbidden)
		return
	}
	var d *replica.Dataset
	for _, x := range u.s.cfg.World.Replica.Datasets() {
		if x.Name() == dataset {
			d = x
		}
	}
	if d == nil {
		http.Error(w, "no such dataset", http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	leave := u.lives.join(door.Client(r.RemoteAddr), cancel)
	if leave == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many live connections", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	defer context.AfterFunc(u.feeding, cancel)()
	l := &liveStream{unit: u, dataset: dataset, w: w, out: http.NewResponseController(w)}
	if err := l.follow(ctx, d, prefix); err != nil && ctx.Err() == nil {
		u.log.Debug("live connection ended", "err", err)
	}
}

// lives are the live connections of a module, by client.
type lives struct {
	mu  sync.Mutex // guards the rest
	all int
	by  map[string][]*liveConn // the first first
}

type liveConn struct{ end context.CancelFunc }

// join counts a connection until leave, which is nil if there is no room. end ends it in favour of another client.
func (l *lives) join(client string, end context.CancelFunc) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.by[client]) >= maxLiveClient {
		return nil
	}
	if l.all >= maxLive {
		most := client
		for c, conns := range l.by {
			if len(conns) > len(l.by[most]) {
				most = c
			}
		}
		if len(l.by[most]) <= len(l.by[client])+1 {
			return nil
		}
		first := l.by[most][0]
		l.remove(most, first)
		first.end()
	}
	if l.by == nil {
		l.by = make(map[string][]*liveConn)
	}
	c := &liveConn{end}
	l.by[client] = append(l.by[client], c)
	l.all++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.remove(client, c)
	}
}

func (l *lives) remove(client string, c *liveConn) {
	at := slices.Index(l.by[client], c)
	if at < 0 {
		return
	}
	l.all--
	if l.by[client] = slices.Delete(l.by[client], at, at+1); len(l.by[client]) == 0 {
		delete(l.by, client)
	}
}

type liveStream struct {
	unit    *unit
	dataset string
	w       http.ResponseWriter
	out     *http.ResponseController

	since time.Time     // it began to work, or was last charged for
	spent time.Duration // and has not been charged for yet
}

// chargeEvery is how much work is done for a page before its module is charged for it.
const chargeEvery = time.Millisecond

// charge charges the module for the work since the last time, as for its own; a page waits while its module has used
// up its share of the processor.
func (l *liveStream) charge(ctx context.Context) error {
	l.tally()
	defer func() { l.since = time.Now() }()
	if l.spent < chargeEvery {
		return nil
	}
	return l.bill(ctx)
}

// tally counts the work since the last time.
func (l *liveStream) tally() {
	now := time.Now()
	l.spent += now.Sub(l.since)
	l.since = now
}

// bill charges the module for what was done, and waits while it has used up its share.
func (l *liveStream) bill(ctx context.Context) error {
	took := l.spent
	l.spent = 0
	l.unit.mu.Lock()
	cpu := l.unit.cpu
	l.unit.mu.Unlock()
	if cpu == nil {
		return nil
	}
	return cpu.Spend(ctx, took)
}

func (l *liveStream) follow(ctx context.Context, d *replica.Dataset, prefix string) error {
	if err := l.bill(ctx); err != nil { // a page that comes waits for the work that others asked for
		return err
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	defer func() { _ = l.bill(over) }() // the rest, or a page that asks often would ask for nothing; it is not waited for
	w := d.Watch(prefix)
	defer w.Close()
	if err := l.everything(ctx, d, prefix); err != nil {
		return err
	}
	if err := l.write("event: ready\ndata: {}\n\n"); err != nil {
		return err
	}
	for {
		wait, cancel := context.WithTimeout(ctx, beatEvery)
		changes, overflow, err := w.Next(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if err := l.write(": beat\n\n"); err != nil {
				return err
			}
		case overflow:
			if err := l.everything(ctx, d, prefix); err != nil {
				return err
			}
		}
		l.since = time.Now()
		for _, c := range changes {
			if err := l.value(ctx, c.Object); err != nil {
				return err
			}
		}
	}
}

func (l *liveStream) everything(ctx context.Context, d *replica.Dataset, prefix string) error {
	var err error
	rows := 0
	l.since = time.Now()
	defer l.tally()
	oerr := d.ObjectsUnder(ctx, prefix, func(o replica.Object) bool {
		rows++
		err = l.value(ctx, o)
		return err == nil && rows < maxLiveRows
	})
	if err == nil {
		err = oerr
	}
	return err
}

func (l *liveStream) value(ctx context.Context, o replica.Object) error {
	if !l.unit.granted().CanRead(l.dataset, o.Family.String(), o.Key) {
		return l.charge(ctx)
	}
	v, err := l.unit.s.cfg.Value(l.dataset, o.Family.String(), o.Key)
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err == nil {
		err = l.charge(ctx)
	}
	if err == nil {
		err = l.write(fmt.Sprintf("event: value\ndata: %s\n\n", b))
	}
	l.since = time.Now() // the client's time is its own
	return err
}

func (l *liveStream) write(text string) error {
	_ = l.out.SetWriteDeadline(time.Now().Add(liveWrite))
	if _, err := l.w.Write([]byte(text)); err != nil {
		return err
	}
	return l.out.Flush()
}
