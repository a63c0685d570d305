package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// fewOps is the size of the dataset that sync compares with: what an exchange
// costs must follow what differs, not what exists.
const fewOps = 1000

// syncAuthors wrote what the two replicas hold.
const syncAuthors = 3

// exchanged is what one size of dataset cost.
type exchanged struct {
	connect int64         // bytes until two equal replicas that connect know it
	beacon  int64         // bytes of the next beacons on the open stream
	missing int64         // bytes of the entries that one lacks
	wire    int64         // bytes of the exchange that brings them, all frames of both sides
	trips   int           // how often the one that lacks them had to ask before it had all
	took    time.Duration // from the write until the other has all, in memory
	disk    int64
}

// syncMissing measures what an exchange costs on the wire: of two equal
// replicas, and of two of which one lacks a few ops. Then the same beside a
// small dataset.
func syncMissing(ctx context.Context, dir string, p Params) (Result, error) {
	many, err := exchange(ctx, filepath.Join(dir, "many"), p.Ops, p)
	if err != nil {
		return nil, err
	}
	few, err := exchange(ctx, filepath.Join(dir, "few"), min(fewOps, p.Ops), p)
	if err != nil {
		return nil, err
	}
	var r Result
	r.work(p.Missing, many.took)
	for _, x := range []struct {
		ops int
		exchanged
	}{{p.Ops, many}, {min(fewOps, p.Ops), few}} {
		of := func(what string) string { return fmt.Sprintf("of %d ops: %s", x.ops, what) }
		r.bytes(of("connect two equal replicas"), x.connect)
		r.bytes(of("beacons of two equal replicas"), x.beacon)
		r.bytes(of(fmt.Sprintf("the %d missing, encoded", min(p.Missing, x.ops))), x.missing)
		r.bytes(of("their exchange on the wire"), x.wire)
		r.bytes(of("the exchange without the entries"), x.wire-x.missing)
		r.count(of("round trips"), x.trips)
		r.time(of("from the write until equal"), x.took)
	}
	r.add("exchange in the large dataset by that in the small", Ratio, float64(many.wire)/float64(few.wire))
	r.bytes("on disk", many.disk)
	r.resident(ownResidentBytes())
	err = r.ofStream(ctx, many.wire, many.took)
	return r, err
}

func exchange(ctx context.Context, dir string, ops int, p Params) (x exchanged, err error) {
	l, a, b, done, err := pair(dir)
	if err != nil {
		return x, err
	}
	defer done()
	if err := writeAll(ctx, dir, l, a, b, ops, p.Objects); err != nil {
		return x, err
	}
	sent := func() int64 { return int64(a.Stats().SyncOut.Load() + b.Stats().SyncOut.Load()) }

	before := sent()
	if _, err := l.meet(ctx, a, b); err != nil {
		return x, err
	}
	if err := untilSettled(ctx, a, b); err != nil {
		return x, err
	}
	x.connect = sent() - before
	if x.beacon, err = nextBeacon(ctx, sent); err != nil {
		return x, err
	}

	// The stream stays open; now one of them writes, and gossip is lost.
	entries := a.Stats().EntryBytes.Load()
	before = sent()
	l.listen()
	began := time.Now()
	missing := min(p.Missing, ops)
	if err := a.write(ctx, missing, missing, p.Objects); err != nil {
		return x, err
	}
	if err := soon(ctx, func() (bool, error) { return same(a, b), nil }); err != nil {
		return x, err
	}
	x.took, x.trips = time.Since(began), l.turnsOf("b")
	if err := untilSettled(ctx, a, b); err != nil {
		return x, err
	}
	x.wire = sent() - before
	x.missing = int64(a.Stats().EntryBytes.Load() - entries)
	x.disk = b.store.Size()
	return x, nil
}

// writeAll makes both replicas hold ops of a, b and of one that is gone.
func writeAll(ctx context.Context, dir string, l *link, a, b *bare, ops, objects int) error {
	c, err := openBare(filepath.Join(dir, "c"), "c", l.end("c"))
	if err != nil {
		return err
	}
	defer c.close()
	left := ops
	for i, x := range []*bare{a, b, c} {
		n := left / (syncAuthors - i)
		left -= n
		if err := x.write(ctx, n, 1024, objects); err != nil {
			return err
		}
	}
	for _, x := range []*bare{c, a} {
		if _, err := l.meet(ctx, x, b); err != nil {
			return err
		}
		l.part()
		if err := untilApart(ctx, x, b); err != nil {
			return err
		}
	}
	return nil
}

// quietTime is how long nothing is said before a round of beacons counts as
// over. The rounds are at least 250 ms apart.
const quietTime = 50 * time.Millisecond

// nextBeacon waits for a round of beacons on a stream on which nothing else is
// said, and returns the bytes of both sides.
func nextBeacon(ctx context.Context, sent func() int64) (int64, error) {
	before := sent()
	last, since := before, time.Now()
	err := soon(ctx, func() (bool, error) {
		if now := sent(); now != last {
			last, since = now, time.Now()
		}
		return last != before && time.Since(since) > quietTime, nil
	})
	return last - before, err
}
