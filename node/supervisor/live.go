package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
)

// liveName ends the paths under which a page follows a dataset.
const liveName = ".live"

// Limits of live connections.
const (
	maxLive     = 64    // of one module
	maxLiveRows = 10000 // objects told at the start
	beatEvery   = 15 * time.Second
	liveWrite   = 30 * time.Second // a page that takes no event for so long is let go
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
	if !u.join(+1) {
		http.Error(w, "too many live connections", http.StatusServiceUnavailable)
		return
	}
	defer u.join(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(u.feeding, cancel)()
	l := &liveStream{unit: u, dataset: dataset, w: w, out: http.NewResponseController(w)}
	if err := l.follow(ctx, d, prefix); err != nil && ctx.Err() == nil {
		u.log.Debug("live connection ended", "err", err)
	}
}

// join counts live connections.
func (u *unit) join(n int) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n > 0 && u.lives >= maxLive {
		return false
	}
	u.lives += n
	return true
}

type liveStream struct {
	unit    *unit
	dataset string
	w       http.ResponseWriter
	out     *http.ResponseController
}

func (l *liveStream) follow(ctx context.Context, d *replica.Dataset, prefix string) error {
	w := d.Watch(prefix)
	defer w.Close()
	if err := l.everything(ctx, d, prefix); err != nil {
		return err
	}
	if err := l.event("ready", struct{}{}); err != nil {
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
		for _, c := range changes {
			if err := l.value(c.Object); err != nil {
				return err
			}
		}
	}
}

func (l *liveStream) everything(ctx context.Context, d *replica.Dataset, prefix string) error {
	var err error
	rows := 0
	oerr := d.Objects(ctx, func(o replica.Object) bool {
		if len(o.Key) < len(prefix) || o.Key[:len(prefix)] != prefix {
			return true
		}
		rows++
		err = l.value(o)
		return err == nil && rows < maxLiveRows
	})
	if err == nil {
		err = oerr
	}
	return err
}

func (l *liveStream) value(o replica.Object) error {
	if !l.unit.granted().CanRead(l.dataset, o.Family.String(), o.Key) {
		return nil
	}
	v, err := l.unit.s.cfg.Value(l.dataset, o.Family.String(), o.Key)
	if err != nil {
		return err
	}
	return l.event("value", v)
}

func (l *liveStream) event(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.write(fmt.Sprintf("event: %s\ndata: %s\n\n", name, b))
}

func (l *liveStream) write(text string) error {
	_ = l.out.SetWriteDeadline(time.Now().Add(liveWrite))
	if _, err := l.w.Write([]byte(text)); err != nil {
		return err
	}
	return l.out.Flush()
}
