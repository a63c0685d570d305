package node

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/p2p"
)

func (d *Data) dataset(name string) (*replica.Dataset, error) {
	for _, x := range d.r.Datasets() {
		if x.Name() == name {
			return x, nil
		}
	}
	return nil, fmt.Errorf("dataset %q: %w: this node does not hold it; start it with --dataset %s", name, api.ErrNotFound, name)
}

// Snapshot writes a dataset, and the db_* keys of this node, as one file.
func (d *Data) Snapshot(ctx context.Context, dataset string, w io.Writer) error {
	x, err := d.dataset(dataset)
	if err != nil {
		return err
	}
	_, err = x.WriteSnapshot(ctx, w)
	return err
}

// Restore joins a snapshot into this directory's data.
func (d *Data) Restore(ctx context.Context, r io.Reader) (api.Snapshot, error) {
	info, err := d.r.Restore(ctx, r)
	return snapshotOf(info), err
}

// CheckRestore refuses a snapshot of another network for a directory that is yet
// to be made; an existing one refuses it by itself.
func CheckRestore(cfg Config, s api.Snapshot) error {
	if _, err := os.Stat(cfg.file(storeDir)); err == nil {
		return nil
	}
	name := cmp.Or(cfg.Network, DefaultNetwork)
	if id := replica.OpenNetwork(name).String(); id != s.Network {
		return fmt.Errorf("the snapshot is of the network with id %s, and %q has id %s: name its own with --network, or join it first if it is closed", s.Network, name, id)
	}
	return nil
}

// SnapshotInfo reads what a snapshot says of itself; with verify, all of it,
// and checks that it is whole.
func SnapshotInfo(r io.Reader, verify bool) (api.Snapshot, error) {
	read := replica.ReadSnapshotInfo
	if verify {
		read = replica.VerifySnapshot
	}
	info, err := read(r)
	return snapshotOf(info), err
}

func snapshotOf(i replica.SnapshotInfo) api.Snapshot {
	return api.Snapshot{
		Dataset: i.Dataset, Network: hex.EncodeToString(i.Network[:8]), Time: i.Time, By: authorName(i.Author),
		Authors: i.Authors, Ops: i.Ops, Rows: i.Rows,
	}
}

// authorName is how people name an author: the node's peer id and which of its
// replicas.
func authorName(a crdt.Author) string {
	if a.IsZero() {
		return ""
	}
	b := a.Bytes()
	const key = crdt.AuthorSize - 8
	id, err := p2p.PublicPeerID(b[:key])
	if err != nil {
		id = hex.EncodeToString(b[:key])
	}
	return id + "/" + hex.EncodeToString(b[key:])
}

// resyncTime is how long a resync may take before it is given up.
const resyncTime = 30 * time.Minute

// Resync makes a dataset's state that of a connected peer.
func (d *Data) Resync(ctx context.Context, dataset, peer string) error {
	x, err := d.dataset(dataset)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resyncTime)
	defer cancel()
	if err := x.Resync(ctx, peer); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("the peer sent no whole state within %v: %w", resyncTime, err)
		}
		return err
	}
	return d.Sync(ctx)
}
