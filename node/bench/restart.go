package bench

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// restart measures this program itself, as a process of its own: the time from
// exec until it is ready, and the resident memory then.
func restart(ctx context.Context, dir string, p Params) (Result, error) {
	data := filepath.Join(dir, "data")
	d, closer, err := node.OpenData(node.Config{Data: data, Network: networkName(), Datasets: []string{datasetName}}, false)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(fill(ctx, d, p.Keys), closer.Close()); err != nil {
		return nil, err
	}
	empty, err := startStop(ctx, filepath.Join(dir, "empty"))
	if err != nil {
		return nil, err
	}
	full, err := startStop(ctx, data)
	if err != nil {
		return nil, err
	}
	var r Result
	r.work(p.Keys, full.ready)
	r.time("ready, with data", full.ready)
	if full.rss > 0 {
		r.bytes("RSS", full.rss)
		r.bytes("RSS, with none", empty.rss)
	}
	r.above("ready, with none", empty.ready, full.ready)
	return r, nil
}

type started struct {
	rss   int64
	ready time.Duration
}

// startStop starts a node, reads an object through its API, and stops it.
func startStop(ctx context.Context, data string) (s started, err error) {
	p, err := startProcess(ctx, data)
	if err != nil {
		return s, err
	}
	c, err := api.Dial(data)
	if err == nil {
		_, err = c.Get(ctx, datasetName, "gcounter", "fill:0")
		c.Close()
	}
	return started{p.residentBytes(), p.ready}, errors.Join(err, p.stop())
}

func fill(ctx context.Context, d *node.Data, n int) error {
	for i := range n {
		c := api.Change{Dataset: datasetName, Family: "gcounter", Key: "fill:" + itoa(i), Verb: "inc"}
		if err := d.Apply(ctx, c); err != nil {
			return err
		}
	}
	return d.Sync(ctx)
}
