package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/blob"
	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/node/guest"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// Bus carries messages. Attach delivers, without waiting, what wants says; detach returns when nothing is delivered
// any more.
type Bus interface {
	Attach(wants func(subject string) bool, deliver func(bus.Message) error) (detach func())
	Publish(ctx context.Context, subject string, payload []byte) error
	Send(ctx context.Context, module, node, subject string, payload []byte) error
	Request(ctx context.Context, subject string, payload []byte) ([]byte, error)
}

// Config is what a supervisor works with.
type Config struct {
	Shelf   Shelf
	World   guest.World
	Runtime *sandbox.Runtime
	Bus     Bus            // nil = no messages
	Blobs   *blob.Exchange // nil = no blobs
	Log     *slog.Logger
	// Signers are keys one of which must have signed a module; none = modules need no signature.
	Signers []module.PublicKey
	// Value reads an object for a page.
	Value func(dataset, family, key string) (api.Value, error)
	// Count returns what counts the nx calls of one instance, as sandbox.Host has it; it may return nil.
	Count func(module string) func(call string, calls uint64, took time.Duration)
}

// Supervisor runs the modules of a shelf. Its methods may be called concurrently, while Run runs or is about to; what
// changes something waits until Run has begun.
type Supervisor struct {
	cfg   Config
	ready chan struct{} // closed when Run has looked at the shelf
	web   *memory       // of web requests

	order sync.Mutex // serializes what starts and ends units; taken after alone

	mu    sync.Mutex // guards the rest
	ctx   context.Context
	units map[string]*unit
	bad   map[string]error         // modules on the shelf that cannot be run
	busy  map[string]chan struct{} // modules that are being changed, see alone
}

// New makes a supervisor; Run runs it.
func New(cfg Config) *Supervisor {
	return &Supervisor{cfg: cfg, ready: make(chan struct{}), web: newMemory(), units: make(map[string]*unit), bad: make(map[string]error), busy: make(map[string]chan struct{})}
}

// ErrNotRunning is the error of what needs the supervisor to run.
var ErrNotRunning = errors.New("supervisor: the node is stopping")

// Run starts what is on the shelf and wanted, and keeps it running until ctx ends; then every instance has had its
// shutdown when Run returns.
func (s *Supervisor) Run(ctx context.Context) error {
	run, stop := context.WithCancel(ctx)
	defer stop()
	s.mu.Lock()
	s.ctx = run
	s.mu.Unlock()
	err := s.Refresh()
	close(s.ready)
	<-ctx.Done()
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	s.ctx = nil
	units := s.units
	s.units = make(map[string]*unit)
	s.mu.Unlock()
	for _, u := range units {
		u.halt()
	}
	return err
}

// Refresh looks at the shelf: it starts what is new, ends what is not wanted any more. A module whose bundle changed
// is for Add.
func (s *Supervisor) Refresh() error {
	s.order.Lock()
	defer s.order.Unlock()
	names, err := s.cfg.Shelf.Names()
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.ctx == nil {
		s.mu.Unlock()
		return ErrNotRunning
	}
	clear(s.bad)
	var ended []*unit
	for name, u := range s.units {
		if !s.cfg.Shelf.Wanted(name) {
			ended = append(ended, u)
			delete(s.units, name)
		}
	}
	s.mu.Unlock()
	for _, u := range ended {
		u.halt()
	}
	for _, name := range names {
		if s.unit(name) == nil && s.cfg.Shelf.Wanted(name) {
			if err := s.begin(name); err != nil {
				s.cfg.Log.Error("cannot run a module", "module", name, "err", err)
				s.mu.Lock()
				s.bad[name] = err
				s.mu.Unlock()
			}
		}
	}
	return nil
}

func (s *Supervisor) unit(name string) *unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.units[name]
}

// open reads a module and makes sure that it may run here.
func (s *Supervisor) open(name string) (*module.Package, error) {
	p, err := s.cfg.Shelf.Open(name)
	if err == nil {
		err = s.Admit(p)
	}
	return p, err
}

// Admit says whether a package may run on this node.
func (s *Supervisor) Admit(p *module.Package) error {
	if p.Manifest == nil {
		return fmt.Errorf("%s has no %s, which says what a module may do: write one, or call it once with numax-node run", p.Path, module.ManifestName)
	}
	if len(s.cfg.Signers) == 0 {
		return nil
	}
	if err := p.Verify(s.cfg.Signers); err != nil {
		return fmt.Errorf("this node runs signed modules only: %w: sign it with numax-node module sign and add it again", err)
	}
	return nil
}

// begin starts a unit. order is held.
func (s *Supervisor) begin(name string) error {
	p, err := s.open(name)
	if err != nil {
		return err
	}
	u, err := s.newUnit(name, p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		return errors.Join(ErrNotRunning, u.journal.Close())
	}
	s.units[name] = u
	u.begin(s.ctx)
	return nil
}

// halt ends a unit and waits for it.
func (u *unit) halt() {
	u.end()
	<-u.done
	_ = u.journal.Close()
}

// Restart ends a module's instance and starts it anew.
func (s *Supervisor) Restart(name string) error {
	<-s.ready
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.Lock()
	u := s.units[name]
	delete(s.units, name)
	s.mu.Unlock()
	if u == nil {
		if !s.cfg.Shelf.has(name) {
			return unknown(name)
		}
		return fmt.Errorf("module %s does not run: start it with numax-node module start %s", name, name)
	}
	u.halt()
	if err := s.cfg.Shelf.Retry(name); err != nil {
		return err
	}
	return s.begin(name)
}

// alone waits until Run has begun and nobody else changes a module, which may take as long as its compilation. The
// caller alone does so until it calls done.
func (s *Supervisor) alone(ctx context.Context, name string) (done func(), err error) {
	mine, wait := make(chan struct{}), s.ready
	for {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s.mu.Lock()
		if wait = s.busy[name]; wait == nil {
			s.busy[name] = mine
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				delete(s.busy, name)
				s.mu.Unlock()
				close(mine)
			}, nil
		}
		s.mu.Unlock()
	}
}

// Change changes the shelf by f, and then does what it says.
func (s *Supervisor) Change(ctx context.Context, name string, f func(name string) error) error {
	done, err := s.alone(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	if err := f(name); err != nil {
		return err
	}
	return s.Refresh()
}

// Add puts a package on the shelf and runs it, in place of a version that runs already. If the new one does not start
// and an old one runs, that goes on, and is on the shelf again.
func (s *Supervisor) Add(ctx context.Context, p *module.Package, source string) (api.Module, error) {
	name := p.Manifest.Name
	done, err := s.alone(ctx, name)
	if err != nil {
		return api.Module{}, err
	}
	defer done()
	if err := s.cfg.Shelf.Retry(name); err != nil {
		return api.Module{}, err
	}
	u := s.unit(name)
	if u == nil {
		if err := s.cfg.Shelf.Put(p, source); err != nil {
			return api.Module{}, err
		}
		if err := s.Refresh(); err != nil {
			return api.Module{}, err
		}
		return s.Settled(ctx, name)
	}
	code, err := u.compile(ctx, p)
	if err != nil {
		u.kept(p, err)
	} else if err = u.reload(ctx, p, code); errors.Is(err, ErrNotRunning) || ctx.Err() != nil {
		return api.Module{}, err
	}
	if err != nil {
		if s.status(name).State != string(Running) {
			return api.Module{}, err
		}
		return api.Module{}, fmt.Errorf("version %s does not start, %s goes on: %w", p.Manifest.Version, u.status().Version, err)
	}
	if err := s.cfg.Shelf.Put(p, source); err != nil {
		return api.Module{}, err
	}
	return s.Settled(ctx, name)
}

// reload hands over a new version, with its code, and waits until it runs or has failed.
func (u *unit) reload(ctx context.Context, p *module.Package, code *sandbox.Module) error {
	done := make(chan error, 1)
	select {
	case u.reloads <- reload{p, code, done}:
	case <-u.done:
		return errors.Join(ErrNotRunning, code.Close(ctx))
	case <-ctx.Done():
		return errors.Join(ctx.Err(), code.Close(ctx))
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Settled waits until a module that begins has begun, and says why it has not.
func (s *Supervisor) Settled(ctx context.Context, name string) (api.Module, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		m := s.status(name)
		if m.State != string(Starting) {
			if m.State != string(Running) && m.State != string(Stopped) && m.State != string(Finished) {
				return m, fmt.Errorf("module %s does not run: %s (it stays on the node: mend it and add it again, or numax-node module rm %s)", name, m.Failure, name)
			}
			return m, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return m, ctx.Err()
		}
	}
}

// PeerChanged tells modules that a node came or went. Those whose mailbox is full do not hear of it.
func (s *Supervisor) PeerChanged(connected bool, peer, addr string) {
	name := sandbox.OnPeerDisconnected
	if connected {
		name = sandbox.OnPeerConnected
	}
	for _, u := range s.running() {
		if u.granted().Peers {
			_ = u.box.push(&item{event: &sandbox.Event{Name: name, Fields: map[string]string{"peer": peer, "addr": addr}}})
		}
	}
}

// running are the units, by name.
func (s *Supervisor) running() []*unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	units := make([]*unit, 0, len(s.units))
	for _, u := range s.units {
		units = append(units, u)
	}
	slices.SortFunc(units, func(a, b *unit) int { return strings.Compare(a.name, b.name) })
	return units
}
