package bench

import (
	"context"
	"errors"
	"time"

	"github.com/numax-mesh/numax/crdt"
)

// text replays an editing trace on one replica and merges it on another.
func text(ctx context.Context, dir string, p Params) (Result, error) {
	if p.File == "" {
		return nil, errors.New("want a trace: bench text FILE")
	}
	edits, end, err := readTrace(p.File)
	if err != nil {
		return nil, err
	}
	l, a, b, done, err := pair(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	all := updates(edits) // made before: an editor has them, too
	var pure replayAlone
	if err := pure.run(all); err != nil {
		return nil, err
	}
	began := time.Now()
	for _, make := range all {
		if _, err := a.data.Update(ctx, crdt.Sequence, "text", make); err != nil {
			return nil, err
		}
	}
	replay := time.Since(began)
	if err := a.Sync(ctx); err != nil {
		return nil, err
	}
	merge, err := l.meet(ctx, a, b)
	if err != nil {
		return nil, err
	}
	for _, x := range []*bare{a, b} {
		if err := showsText(x, end); err != nil {
			return nil, err
		}
	}
	history := int64(a.Stats().EntryBytes.Load())
	b.close()
	cold, err := openBare(b.store.Dir(), "cold", newLink().end("cold"))
	if err != nil {
		return nil, err
	}
	defer cold.close()
	began = time.Now()
	if err := showsText(cold, end); err != nil {
		return nil, err
	}
	read := time.Since(began)
	var r Result
	r.work(len(all), replay)
	r.time("replay through local updates", replay)
	r.time("replay on the data type alone", pure.replay)
	r.time("merge on a peer, until on its disk", merge)
	r.time("decode and merge on the data type alone", pure.merge)
	r.time("first read after a restart", read)
	r.bytes("history", history)
	r.bytes("history, a few large bodies, not compressed", pure.bytes)
	r.bytes("text", int64(len(end)))
	wire := int64(a.Stats().SyncOut.Load() + b.Stats().SyncOut.Load())
	r.bytes("on the wire", wire)
	r.bytes("on disk", cold.store.Size())
	r.resident(ownResidentBytes())
	r.add("history by text", Ratio, float64(history)/float64(len(end)))
	r.above("replay on the data type", pure.replay, replay)
	err = r.ofStream(ctx, wire, merge)
	return r, err
}
