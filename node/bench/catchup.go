package bench

import (
	"context"
	"path/filepath"
	"time"
)

// catchUp measures what a replica does with entries of another: verify, apply,
// make durable. The entries come over a sync stream in memory, so that the
// network has no part in it.
func catchUp(perEntry int) func(context.Context, string, Params) (Result, error) {
	return func(ctx context.Context, dir string, p Params) (Result, error) {
		l, writer, reader, done, err := pair(dir)
		if err != nil {
			return nil, err
		}
		defer done()
		if err := writer.write(ctx, p.Ops, perEntry, p.Keys); err != nil {
			return nil, err
		}
		took, err := l.meet(ctx, writer, reader)
		if err != nil {
			return nil, err
		}
		var r Result
		perSecond := r.work(p.Ops, took)
		wire := int64(writer.Stats().SyncOut.Load() + reader.Stats().SyncOut.Load())
		r.bytes("on the wire", wire)
		r.bytes("on disk", reader.store.Size())
		r.resident(ownResidentBytes())
		if err := r.ofVerified(dir, perEntry, perSecond); err != nil {
			return nil, err
		}
		err = r.ofStream(ctx, wire, took)
		return r, err
	}
}

// joinState is catchUp where the writer's log is cut.
func joinState(ctx context.Context, dir string, p Params) (Result, error) {
	l := newLink()
	writer, err := openKeeping(filepath.Join(dir, "a"), "a", l.end("a"), cutSoon)
	if err != nil {
		return nil, err
	}
	defer writer.close()
	if err := writer.write(ctx, p.Ops, 64, p.Keys); err != nil {
		return nil, err
	}
	if err := settleDisk(ctx, writer); err != nil {
		return nil, err
	}
	reader, err := openBare(filepath.Join(dir, "b"), "b", l.end("b"))
	if err != nil {
		return nil, err
	}
	defer reader.close()
	took, err := l.meet(ctx, writer, reader)
	if err != nil {
		return nil, err
	}
	var r Result
	perSecond := r.work(p.Keys, took)
	wire := int64(writer.Stats().SyncOut.Load() + reader.Stats().SyncOut.Load())
	r.bytes("on the wire", wire)
	r.bytes("on disk", reader.store.Size())
	r.resident(ownResidentBytes())
	if err := r.ofVerified(dir, 64, perSecond); err != nil {
		return nil, err
	}
	err = r.ofStream(ctx, wire, took)
	return r, err
}

// heal measures two replicas that both wrote while they were apart.
func heal(ctx context.Context, dir string, p Params) (Result, error) {
	l, a, b, done, err := pair(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	for _, x := range []*bare{a, b} {
		if err := x.write(ctx, p.Ops, 64, p.Keys); err != nil {
			return nil, err
		}
	}
	took, err := l.meet(ctx, a, b)
	if err != nil {
		return nil, err
	}
	var r Result
	perSecond := r.work(2*p.Ops, took)
	wire := int64(a.Stats().SyncOut.Load() + b.Stats().SyncOut.Load())
	r.bytes("on the wire", wire)
	r.bytes("on disk", a.store.Size()+b.store.Size())
	r.resident(ownResidentBytes())
	if err := r.ofVerified(dir, 64, perSecond); err != nil {
		return nil, err
	}
	err = r.ofStream(ctx, wire, took)
	return r, err
}

// ofVerified adds the limits for entries of other nodes: those that each get a
// commit of their own, and those that share one.
func (r *Result) ofVerified(dir string, perEntry int, perSecond float64) error {
	for _, rows := range []int{perEntry, batchRows} {
		limit, err := verifiedRows(dir, perEntry, rows)
		if err != nil {
			return err
		}
		r.of(verifiedName(perEntry, rows), PerSecond, limit, perSecond)
	}
	return nil
}

// ofStream adds the limit for bytes on their way.
func (r *Result) ofStream(ctx context.Context, bytes int64, took time.Duration) error {
	limit, err := tcpStream(ctx)
	r.of("TCP stream", BytesPerSecond, limit, float64(bytes)/took.Seconds())
	return err
}
