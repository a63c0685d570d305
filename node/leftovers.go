package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/blob"
	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/node/supervisor"
)

const (
	// maxLeftovers is how many removed modules status names; the others come into view as those are purged.
	maxLeftovers = 100
	// maxCountedKeys is up to where the keys of one are counted: status must not read a whole store.
	maxCountedKeys = 10_000
	// purgeKeys is how many keys are deleted before the next are looked for.
	purgeKeys = 1000
)

// keeping is where modules keep what is theirs, beside the shelf that they are on.
//
//	module rm ─► off the shelf ─► ended ─► its messages dropped ─┬─► kept: keys and blobs stay, status shows them
//	                                                             └─► purged: keys and blobs deleted
//
// What a crash leaves in between is shown by status, and purged by a second module rm; messages are dropped at the next
// start.
type keeping struct {
	shelf   supervisor.Shelf
	replica *replica.Replica
	store   *datastore.Store
	blobs   *blob.Store
	bus     *bus.Bus
}

func (n *Node) keeping() keeping {
	return keeping{n.cfg.Shelf(), n.state.replica, n.state.store, n.blobs.Store(), n.bus}
}

// of is what there is of a module.
func (k keeping) of(name string) (api.Leftover, error) {
	left := api.Leftover{Module: name, Messages: k.bus.Waiting()[name]}
	err := k.replica.Keys(name).Scan(nil, nil, func(_, _ []byte) bool {
		left.Keys++
		return left.Keys < maxCountedKeys
	})
	if err != nil {
		return left, fmt.Errorf("count the keys of module %s: %w", name, err)
	}
	all, err := k.blobs.Owned(name)
	if err == nil {
		left.Blobs = len(all)
		left.BlobBytes, err = k.blobs.Used(name)
	}
	return left, err
}

// leftovers are of modules that are not on the shelf, by name.
func (k keeping) leftovers() ([]api.Leftover, error) {
	names, err := k.spaces()
	if err != nil {
		return nil, err
	}
	owners, err := k.blobs.Owners()
	if err != nil {
		return nil, err
	}
	here, err := k.shelf.Names()
	if err != nil {
		return nil, err
	}
	names = slices.Concat(names, owners, slices.Collect(maps.Keys(k.bus.Waiting())))
	slices.Sort(names)
	var all []api.Leftover
	for _, name := range slices.Compact(names) {
		if name == "" || name == handModule || slices.Contains(here, name) {
			continue
		}
		left, err := k.of(name)
		if err != nil {
			return nil, err
		}
		if all = append(all, left); len(all) == maxLeftovers {
			break
		}
	}
	return all, nil
}

// spaces are the names of modules that have keys on disk. It reads one row of each.
func (k keeping) spaces() (names []string, err error) {
	prefix := datastore.ModulesPrefix()
	limit := datastore.After(prefix)
	for start := prefix; ; {
		name, found := "", false
		err := k.store.Scan(start, limit, func(key, _ []byte) bool {
			name, _, found = datastore.SplitModuleKey(key[len(prefix):])
			return false
		})
		if err != nil || !found {
			return names, err
		}
		names = append(names, name)
		start = datastore.After(datastore.ModulePrefix(name))
	}
}

// remove takes a module off the shelf, ends it, and drops its messages; with purge, its keys and blobs too, also if it
// was off the shelf already. It answers what is left.
func (k keeping) remove(ctx context.Context, name string, purge bool, end func() error) (left api.Leftover, err error) {
	err = k.shelf.Remove(name)
	if purge && name != handModule && errors.Is(err, api.ErrNotFound) {
		if left, lerr := k.of(name); lerr == nil && !left.Empty() {
			err = nil
		}
	}
	if err == nil {
		err = end()
	}
	if err == nil {
		_, err = k.bus.Forget(name)
	}
	if err == nil && purge {
		err = k.purge(ctx, name)
	}
	if err != nil {
		return left, err
	}
	return k.of(name)
}

// purge deletes the keys and blobs of a module. They are gone from the disk when it returns.
func (k keeping) purge(ctx context.Context, name string) error {
	keys := k.replica.Keys(name)
	for {
		var some [][]byte
		err := keys.Scan(nil, nil, func(key, _ []byte) bool {
			some = append(some, bytes.Clone(key))
			return len(some) < purgeKeys
		})
		for _, key := range some {
			if err == nil {
				err = keys.Delete(ctx, key)
			}
		}
		if err == nil && len(some) > 0 {
			err = k.replica.Sync(ctx)
		}
		if err != nil {
			return fmt.Errorf("delete the keys of module %s: %w", name, err)
		}
		if len(some) == 0 {
			return k.blobs.Purge(name)
		}
	}
}

// forgetRemoved drops the messages of modules that are not on the shelf any more.
func (k keeping) forgetRemoved(log *slog.Logger) error {
	here, err := k.shelf.Names()
	if err != nil {
		return err
	}
	for module := range k.bus.Waiting() {
		if module == "" || slices.Contains(here, module) {
			continue
		}
		n, err := k.bus.Forget(module)
		if err != nil {
			return err
		}
		log.Info("messages were dropped: their module was removed", "module", module, "messages", n)
	}
	return nil
}

// RemoveModule implements api.Modules.
func (n *Node) RemoveModule(ctx context.Context, name string, purge bool) (left api.Leftover, err error) {
	err = n.modules.Change(ctx, name, func(name string) (err error) {
		left, err = n.keeping().remove(ctx, name, purge, n.modules.Refresh)
		return err
	})
	return left, err
}

// RemoveModule removes a module of a directory on which no node runs.
func RemoveModule(ctx context.Context, cfg Config, name string, purge bool) (left api.Leftover, err error) {
	if _, err := os.Stat(cfg.file(storeDir)); errors.Is(err, fs.ErrNotExist) { // none has ever run
		return api.Leftover{Module: name}, cfg.Shelf().Remove(name)
	}
	log := slog.New(slog.DiscardHandler)
	key, err := makeData(&cfg)
	if err != nil {
		return left, err
	}
	s, err := openState(&cfg, toRead, nil, key, log)
	if err != nil {
		return left, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- s.replica.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-done, s.store.Close())
	}()
	blobs, err := blob.Open(cfg.file(blobsDir))
	if err != nil {
		return left, err
	}
	b, _, err := openBus(s, false, log)
	if err != nil {
		return left, err
	}
	k := keeping{cfg.Shelf(), s.replica, s.store, blobs, b}
	return k.remove(ctx, name, purge, func() error { return nil })
}
