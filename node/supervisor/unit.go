package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node/guest"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// State is what a module is doing.
type State string

//	          ┌──────────────── failed, tries left ──────────────┐
//	          ▼                                                  │
//	Starting ─► Running ─► the guest fails ─► Waiting ─► Starting ┘ ─► no tries left, or unfit ─► GaveUp
//	               └─────► the guest is done ─► Finished
//
// Stopped is a module that is not wanted.
const (
	Starting State = "starting"
	Running  State = "running"
	Waiting  State = "waiting"
	Finished State = "finished"
	GaveUp   State = "gave-up"
	Stopped  State = "stopped"
)

// unit is one module that is wanted: its instance, or instances, and what waits for them.
type unit struct {
	s       *Supervisor
	name    string
	id      string // of the module, as it was added
	log     *slog.Logger
	journal *journal
	box     *mailbox
	space   *guest.Space
	lives   lives // connections of pages that follow a dataset
	reloads chan reload

	end  context.CancelFunc
	done chan struct{}
	// Contexts of what begins in this unit: feeds and pages that follow a dataset end with it; a call that is under way
	// then has shutdownTime to return.
	feeding, calling context.Context

	mu     sync.Mutex // guards the rest
	pkg    *module.Package
	writes *guest.Rate  // of the version that runs, or ran last
	cpu    *sandbox.CPU // the same
	shared struct {     // see shares
		ops, bytes, percent int64
		writes              *guest.Rate
		cpu                 *sandbox.CPU
	}
	compiled time.Duration // how long it took, the last time that it started again
	state    State
	since    time.Time
	restarts int
	failure  string
	calls    map[string]uint64
	failed   uint64
	denied   map[string]uint64
	sessions []*session // of the instance, and of one that is to replace it
	absent   *session   // of an instance that failed, until the next one has begun: what it asked to hear of waits
	feeds    map[place]*shared
}

// reload is a new version, compiled already: the one that runs is not to wait for that.
type reload struct {
	pkg  *module.Package
	code *sandbox.Module
	done chan<- error
}

func (s *Supervisor) newUnit(name string, p *module.Package) (*unit, error) {
	u := &unit{
		s: s, name: name, log: s.cfg.Log.With("module", name), pkg: p,
		box: newMailbox(int(p.Manifest.Limits.Mailbox)), reloads: make(chan reload), done: make(chan struct{}),
		state: Starting, since: time.Now(), calls: make(map[string]uint64), denied: make(map[string]uint64),
		feeds: make(map[place]*shared),
	}
	var err error
	if u.journal, err = openJournal(s.cfg.Shelf.path(name, logFile)); err != nil {
		return nil, err
	}
	var blobs int64
	if b := s.cfg.Blobs; b != nil {
		blobs, err = b.Store().Used(name)
	}
	if err == nil {
		u.space, err = guest.NewSpace(s.cfg.World.Replica.Keys(name), blobs)
	}
	if err != nil {
		return nil, errors.Join(err, u.journal.Close())
	}
	u.space.SetLimit(p.Manifest.Limits.Storage)
	u.id = s.cfg.Shelf.id(name)
	return u, nil
}

// take makes a version the one that is wanted, with what it may take.
func (u *unit) take(v *version) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pkg, u.writes, u.cpu = v.pkg, v.writes, v.cpu
	u.space.SetLimit(v.pkg.Manifest.Limits.Storage)
	u.box.setLimit(int(v.pkg.Manifest.Limits.Mailbox))
}

func (u *unit) granted() *module.Grants {
	u.mu.Lock()
	defer u.mu.Unlock()
	return &u.pkg.Manifest.Grants
}

func (u *unit) enter(state State, failure error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state, u.since = state, time.Now()
	if failure != nil {
		u.failure = failure.Error()
	} else if state == Running {
		u.failure = ""
	}
}

// begin starts what run does; end ends it.
func (u *unit) begin(ctx context.Context) {
	ctx, u.end = context.WithCancel(ctx)
	var stopCalls context.CancelFunc
	u.feeding = ctx
	u.calling, stopCalls = context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		grace := time.NewTimer(shutdownTime)
		defer grace.Stop()
		select {
		case <-grace.C:
		case <-u.done:
		}
		stopCalls()
	})
	go u.run(ctx)
}

// run keeps the module running until ctx ends.
func (u *unit) run(ctx context.Context) {
	defer close(u.done)
	if b := u.s.cfg.Bus; b != nil {
		defer b.Attach(u.hears, u.deliver)()
	}
	defer u.box.close()
	defer u.setAbsent(nil)
	var next *version
	for failures := 0; ; {
		began := time.Now()
		v, err := next, error(nil)
		if next = nil; v == nil {
			u.enter(Starting, nil)
			v, err = u.launch(u.wanted())
		}
		if err == nil {
			u.take(v)
			u.box.open()
			if v.code.Entry() == "" || v.entered || v.pkg.Manifest.Kind == module.Function {
				u.enter(Running, nil)
			}
			v, err = u.serve(ctx, v)
			u.setAbsent(v.session)
			v.end()
		}
		if ctx.Err() != nil {
			u.enter(Stopped, nil)
			return
		}
		r := u.wanted().Manifest.Restart
		if time.Since(began) > r.MaxBackoff {
			failures = 0
		}
		var again <-chan time.Time
		// A module that ends all the time has the node compile at most half of the time.
		switch wait := max(backoff(r, failures), u.compileTook()); {
		case err == nil && r.Policy != module.Always:
			u.enter(Finished, nil)
			u.setAbsent(nil)
			u.box.close()
			u.say("finished")
		case err != nil && (r.Policy == module.Never || errors.As(err, new(unfit))) || failures >= r.Tries:
			u.enter(GaveUp, err)
			u.setAbsent(nil)
			u.box.close()
			u.say(fmt.Sprintf("gave up: %v", err))
			u.log.Error("module gave up: mend it and add it again, or numax-node module restart", "err", err)
		default:
			u.enter(Waiting, err)
			if err != nil {
				u.say(fmt.Sprintf("failed, starts again in %v: %v", wait, err))
				if failures == 0 {
					u.log.Warn("module failed and is started again: what follows is in its log, numax-node module logs "+u.name, "err", err)
				}
			}
			failures++
			again = time.After(wait)
		}
		if next = u.rest(ctx, again); next != nil {
			failures = 0
		} else if ctx.Err() != nil {
			u.enter(Stopped, nil)
			return
		}
	}
}

// rest waits until the module is to start again; for good if again is nil, but for a new version that starts, which it
// returns.
func (u *unit) rest(ctx context.Context, again <-chan time.Time) *version {
	for {
		select {
		case <-again:
			u.mu.Lock()
			u.restarts++
			u.mu.Unlock()
			return nil
		case r := <-u.reloads:
			u.box.open() // its init may ask for what comes at once
			v, err := u.start(r.pkg, r.code)
			if err == nil {
				u.enter(Starting, nil)
			} else if again == nil {
				u.box.close()
			}
			r.done <- err
			if err == nil {
				return v
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (u *unit) compileTook() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.compiled
}

func backoff(r module.Restart, failures int) time.Duration {
	wait := r.Backoff
	for range failures {
		if wait *= 2; wait >= r.MaxBackoff {
			return r.MaxBackoff
		}
	}
	return wait
}

func (u *unit) wanted() *module.Package {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pkg
}

// say writes a line of ours in the module's log.
func (u *unit) say(line string) { u.journal.Node(line) }
