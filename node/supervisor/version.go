package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/numax-mesh/numax/node/guest"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// version is a version of the module that runs. A function has no instance of its own.
type version struct {
	unit     *unit
	pkg      *module.Package
	code     *sandbox.Module
	instance *sandbox.Instance
	session  *session
	entered  bool // run or _start was called
	writes   *guest.Rate
	cpu      *sandbox.CPU

	denied map[string]bool // calls whose denial is in the log; unit.mu guards it
}

// unfit is why a module does not start, however often it is tried.
type unfit struct{ error }

func (u unfit) Unwrap() error { return u.error }

// compileTime is what there is to compile a module in, from its turn on: Go's own compiler, of 49 MB, takes one core
// 30 s.
const compileTime = 10 * time.Minute

var errSlow = fmt.Errorf("it takes over %v to compile here", compileTime)

// compile compiles a package, until ctx or the unit ends. It notes on the shelf what comes of it.
func (u *unit) compile(ctx context.Context, p *module.Package) (*sandbox.Module, error) {
	notes := u.s.cfg.Shelf.notes(u.name, p)
	if err := notes.refused(); err != nil {
		return nil, unfit{err}
	}
	compiling, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(u.feeding, func() { cancel(context.Canceled) })()
	var begun time.Time
	code, err := u.s.cfg.Runtime.CompileBegun(compiling, u.name, p.Wasm, func() error {
		slow := time.AfterFunc(compileTime, func() { cancel(errSlow) })
		context.AfterFunc(compiling, func() { slow.Stop() })
		begun = time.Now()
		return notes.begin()
	})
	ended := err != nil && !errors.Is(err, errSlow) && (ctx.Err() != nil || u.feeding.Err() != nil)
	if !begun.IsZero() {
		u.mu.Lock()
		if u.restarts > 0 { // it may be there already then, and be done soon: the first time says nothing
			u.compiled = time.Since(begun)
		}
		u.mu.Unlock()
		var never error
		if !ended && (errors.Is(err, errSlow) || errors.As(err, new(*sandbox.UnfitError))) {
			never = err
		}
		if e := notes.end(never); e != nil {
			u.log.Warn("what was noted of a compilation may be wrong", "err", e)
		}
	}
	if err != nil && !ended {
		return nil, unfit{err}
	}
	return code, err
}

// launch compiles a package and starts it.
func (u *unit) launch(p *module.Package) (*version, error) {
	code, err := u.compile(u.feeding, p)
	if err != nil {
		return nil, err
	}
	return u.start(p, code)
}

// start makes a version of a package and its code, which it owns from then on. If it is a service, an instance starts.
func (u *unit) start(p *module.Package, code *sandbox.Module) (_ *version, err error) {
	l := p.Manifest.Limits
	v := &version{unit: u, pkg: p, code: code, denied: make(map[string]bool)}
	v.writes, v.cpu = u.shares(l)
	defer func() {
		if err != nil {
			v.end()
		}
	}()
	var call sandbox.Call
	v.session, call = v.open()
	if p.Manifest.Kind == module.Service {
		if v.instance, err = code.Start(u.calling, call); err != nil {
			return nil, err
		}
		if !code.Reacts() {
			v.instance.Unbounded() // one call is all its life
		}
	}
	return v, v.session.trigger(p, code)
}

// shares are what a version may write and compute. One that starts again, or comes in the place of one with the same
// limits, goes on with what is left: else a module that ends and starts again all the time would have a burst each time,
// and no limit.
func (u *unit) shares(l module.Limits) (*guest.Rate, *sandbox.CPU) {
	u.mu.Lock()
	defer u.mu.Unlock()
	have := &u.shared
	if have.writes == nil || have.ops != l.Ops || have.bytes != l.Bytes {
		have.ops, have.bytes, have.writes = l.Ops, l.Bytes, guest.NewRate(l.Ops, l.Bytes)
	}
	if have.cpu == nil || have.percent != l.CPU {
		have.percent, have.cpu = l.CPU, sandbox.NewCPU(float64(l.CPU)/100)
	}
	return have.writes, have.cpu
}

// open makes a session and how an instance that has it is called.
func (v *version) open() (*session, sandbox.Call) {
	u, m := v.unit, v.pkg.Manifest
	u.mu.Lock()
	defer u.mu.Unlock()
	g, host := guest.Host(u.s.cfg.World, u.name, &m.Grants, guest.Use{Writes: v.writes, Space: u.space})
	s := &session{unit: u, guest: g, grants: &m.Grants, dataset: g.First(), timers: make(map[uint32]*timer), queued: make(map[uint32]bool)}
	u.sessions = append(u.sessions, s)
	host.Service = s
	if u.s.cfg.Bus != nil {
		host.Messages = s
	}
	host.Fetch = newFetcher(&m.Grants, g.Settle)
	if b := u.s.cfg.Blobs; b != nil && m.Grants.Blobs {
		host.Blobs = b.Session(u.name, u.space)
	}
	host.Log = u.journal.Guest
	host.Emit = func(name string, payload []byte) { u.journal.Guest("event " + name + " " + string(payload)) }
	host.Count = u.s.cfg.Count(u.name)
	host.Denied = func(call string) {
		u.mu.Lock()
		u.denied[call]++
		told := v.denied[call]
		v.denied[call] = true
		u.mu.Unlock()
		if !told { // once a call: a flood of them is only counted
			u.say(m.Denied(call))
		}
	}
	return s, sandbox.Call{
		Host: host, CPU: v.cpu, Memory: uint64(m.Limits.Memory), Deadline: m.Limits.Deadline,
		Args: []string{u.name}, Stdout: u.journal, Stderr: u.journal,
	}
}

// trigger asks for what the manifest says, and for all the guest may read if it wants changes and names none.
func (s *session) trigger(p *module.Package, code *sandbox.Module) error {
	for i, t := range p.Manifest.Triggers {
		var err error
		switch {
		case t.Message != "":
			err = s.Subscribe(t.Message)
		case t.Every > 0:
			err = s.SetTimer(triggerTimers+uint32(i), t.Every, t.Every)
		case t.Change != nil:
			err = s.mustWatch(t.Change.Dataset, t.Change.Prefix)
		}
		if err != nil {
			return fmt.Errorf("trigger %v: %w", t, err)
		}
	}
	if len(s.places) > 0 || !code.Handles(sandbox.OnChange) && !code.Handles(sandbox.OnRemoteOp) {
		return nil
	}
	for _, d := range s.grants.Data {
		if err := s.mustWatch(d.Dataset, d.Prefix); err != nil && d.Read != 0 {
			return err
		}
	}
	return nil
}

// mustWatch is for what the manifest has the module follow.
func (s *session) mustWatch(dataset, prefix string) error {
	switch err := s.watch(dataset, prefix); {
	case errors.Is(err, sandbox.ErrNotFound):
		return unfit{fmt.Errorf("this node has no dataset %q, which the module follows: start it with one more --dataset %s", dataset, dataset)}
	case err != nil:
		return fmt.Errorf("watch dataset %s: %w", dataset, err)
	}
	return nil
}

// triggerTimers are the ids of timers that a manifest sets; a guest's own should lie below.
const triggerTimers = 1 << 31

// end takes a version down.
func (v *version) end() {
	if v == nil {
		return
	}
	if v.instance != nil {
		// Its shutdown is bounded by the module's deadline, and by ours; when the unit ends, by what its last call left.
		ctx, cancel := context.WithTimeout(v.unit.calling, shutdownTime)
		if err := v.instance.Close(ctx); err != nil {
			v.unit.say(err.Error())
		}
		cancel()
	}
	if s := v.session; s != nil {
		s.end()
		v.unit.forget(s)
	}
	_ = v.code.Close(context.Background())
}

// forget is for a session whose guest is over.
func (u *unit) forget(s *session) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions = slices.DeleteFunc(u.sessions, func(x *session) bool { return x == s })
}

// shutdownTime is what a guest has for its shutdown.
const shutdownTime = 5 * time.Second

// replace puts a new version in the place of v between two events, with all that waits; v stays if the new one does
// not start.
func (u *unit) replace(v *version, r reload) *version {
	next, err := u.start(r.pkg, r.code)
	if err == nil && next.pkg.Manifest.Kind != v.pkg.Manifest.Kind {
		next.end()
		err = fmt.Errorf("it was a %s and is a %s now: remove the module and add it again", v.pkg.Manifest.Kind, r.pkg.Manifest.Kind)
	}
	if err == nil && next.instance != nil && next.code.Reacts() && next.code.Entry() != "" {
		if err = u.call(u.calling, next, &sandbox.Event{Name: next.code.Entry()}); err != nil {
			next.end()
		} else {
			next.entered = true
		}
	}
	if err != nil {
		u.kept(r.pkg, err)
		r.done <- err
		return v
	}
	u.follows(v, next)
	r.done <- nil
	return next
}

// kept says why a new version does not run.
func (u *unit) kept(p *module.Package, err error) {
	u.say(fmt.Sprintf("kept version %s: %s does not start: %v", u.wanted().Manifest.Version, p.Manifest.Version, err))
}

// follows ends v for next.
func (u *unit) follows(v, next *version) {
	u.take(next)
	v.end()
	u.say("version " + next.pkg.Manifest.Version + " runs")
}
