package bench

import (
	"context"
	"time"

	"github.com/numax-mesh/numax/node"
)

// store is a guest that keeps its own rows, which are not replicated.
func store(ctx context.Context, dir string, p Params) (Result, error) {
	at := paced(p.Rate, p.Duration)
	var r Result
	err := alone(ctx, dir, func(n *node.Node) error {
		began := time.Now()
		calls, err := runGuest(ctx, n, storer(at, p.ValueSize, p.KeySpace))
		if err != nil {
			return err
		}
		perSecond := r.work(at.ops(), time.Since(began))
		r.count("ops in a commit", at.perRound)
		r.latency("guest call", calls["db_set"])
		r.latency("durable commit", calls["commit"])
		r.bytes("written by the guest", int64(at.ops())*int64(8+p.ValueSize))
		r.used(ctx, n)
		limit, err := fsyncedRows(dir, at.perRound, p.ValueSize)
		if err != nil {
			return err
		}
		r.of("fsynced batches of "+itoa(at.perRound), PerSecond, limit, perSecond)
		batch := time.Duration(float64(at.perRound) / limit * float64(time.Second))
		r.above("one fsynced batch, by the median commit", batch, percentile(calls["commit"], .5))
		return nil
	})
	return r, err
}
