package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// device is a data directory on which no node runs: its identity and its store,
// whose lock keeps nodes away.
type device struct {
	key   ed25519.PrivateKey
	store *datastore.Store
}

func openDevice(cfg *Config) (*device, error) {
	key, err := makeData(cfg)
	if err != nil {
		return nil, err
	}
	store, err := openStore(cfg.file(storeDir))
	if errors.Is(err, ErrInUse) {
		err = fmt.Errorf("a node is running on data directory %s: stop it first: %w", cfg.Data, err)
	}
	if err != nil {
		return nil, err
	}
	return &device{key, store}, nil
}

func (d *device) close() { _ = d.store.Close() }

// FoundNetwork begins a closed network, with the device of the data directory as
// its founder. No node may run there.
func FoundNetwork(cfg Config, name, device string) (api.Network, error) {
	d, err := openDevice(&cfg)
	if err != nil {
		return api.Network{}, err
	}
	defer d.close()
	book, err := member.Found(name, device, member.Options{File: cfg.file(membersFile), Key: d.key})
	if err != nil {
		return api.Network{}, err
	}
	return (&Data{book: book}).Network(), nil
}

// JoinNetwork makes the device of the data directory a member of a closed
// network, by a token: it looks for members at the addresses of the token and on
// the LAN, and returns when one that can decide has let it in, or has refused, or
// ctx ends. waiting is told when an administrator has to approve. No node may run
// there.
func JoinNetwork(ctx context.Context, cfg Config, token, device string, waiting func(), log *slog.Logger) (api.Network, error) {
	t, err := member.ParseToken(token)
	if err != nil {
		return api.Network{}, fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	d, err := openDevice(&cfg)
	if err != nil {
		return api.Network{}, err
	}
	defer d.close()
	request, err := member.NewRequest(d.key, device, t)
	if err != nil {
		return api.Network{}, fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	o := member.Options{File: cfg.file(membersFile), Key: d.key}
	book, err := member.Open(o)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		book, err = member.Join(t.Genesis, o)
	case err == nil && book.Roster().Network() != t.Genesis.Network():
		err = fmt.Errorf("data directory %s is of the closed network %q: use another --data for %q", cfg.Data, book.Roster().Genesis().Name, t.Genesis.Name)
	case err == nil && book.Check(book.Self()) == nil:
		return (&Data{book: book}).Network(), nil
	}
	if err != nil {
		return api.Network{}, err
	}
	if err := d.ask(ctx, cfg, book, t, request, waiting, log); err != nil {
		return api.Network{}, err
	}
	return (&Data{book: book}).Network(), nil
}

// ask keeps asking whoever is found until this device is a member.
func (d *device) ask(ctx context.Context, cfg Config, book *member.Book, t *member.Token, q *member.Request, waiting func(), log *slog.Logger) error {
	host, err := p2p.New(p2p.Config{
		Key: d.key, Tag: networkTag(networkOf(&cfg, book)), Admitted: admitted(book), Listen: cfg.Listen,
		Bootstrap: append(cfg.Bootstrap, usable(t.Addrs)...), Discover: cfg.MDNS, Known: d.store.Foreign(), Agent: "numax/" + cfg.Version,
		Log: log, Interface: cfg.Interface, Reachability: p2p.Reachability(cfg.Reachability), Limits: cfg.Limits,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	g := newGreeter(book, host, log)
	g.request = q
	var once sync.Once
	var mu sync.Mutex
	var last error // why nobody let us in so far
	g.refused = func(_ string, err error) {
		refused := new(member.RefusedError)
		if !errors.As(err, &refused) {
			return
		}
		mu.Lock()
		if last == nil || refused.Reason != member.NotAdmin && refused.Reason != member.NotAdmitted {
			last = err
		}
		mu.Unlock()
		switch refused.Reason {
		case member.Pending:
			once.Do(waiting)
		case member.UnknownInvite: // unless another administrator does know it
			time.AfterFunc(inviteWait, func() { cancel(err) })
		case member.UsedUp, member.InviteExpired, member.BadSignature, member.Revoked, member.Expired, member.Full:
			cancel(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = host.Run(ctx) })
	wg.Go(func() { g.run(ctx) })
	err = admittedSoon(ctx, book)
	cancel(nil)
	wg.Wait()
	if cerr := host.Close(); err == nil {
		err = cerr
	}
	mu.Lock()
	defer mu.Unlock()
	switch {
	case errors.Is(err, context.DeadlineExceeded) && last != nil:
		return last
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("join %q: no member was found: an administrator's node has to be running, on this LAN or at an address of the token; "+
			"--bootstrap ADDR names one", t.Genesis.Name)
	}
	return err
}

// usable are the addresses that a host takes as bootstrap.
func usable(addrs []string) (ok []string) {
	for _, a := range addrs {
		if p2p.CheckBootstrap(a) == nil {
			ok = append(ok, a)
		}
	}
	return ok
}

// inviteWait is how long others are asked, when an administrator does not know an
// invite.
const inviteWait = 5 * time.Second

// keyWait is how long a new member waits for the network's key, once it is let
// in.
const keyWait = 5 * time.Second

// admittedSoon waits until this device is a member, with a key if its role has
// one.
func admittedSoon(ctx context.Context, book *member.Book) error {
	changed, stop := book.Watch()
	defer stop()
	var giveUp <-chan time.Time
	for {
		err := book.Check(book.Self())
		if errors.Is(err, member.ErrExpired) { // let in, and over already: by this machine's clock
			return err
		}
		if err == nil {
			m, _ := book.Roster().Member(book.Self())
			if m.Role == member.Relay || book.Ring().Len() > 0 {
				return nil
			}
			if giveUp == nil {
				giveUp = time.After(keyWait)
			}
		}
		select {
		case <-changed:
		case <-giveUp:
			return nil // it comes when an administrator is in reach
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
