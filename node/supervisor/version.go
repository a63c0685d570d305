package supervisor

import (
	"context"
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
	writes   *guest.Rate
	cpu      *sandbox.CPU
}

// start compiles a package and, if it is a service, starts an instance.
func (u *unit) start(p *module.Package) (_ *version, err error) {
	code, err := u.s.cfg.Runtime.Compile(u.calling, u.name, p.Wasm)
	if err != nil {
		return nil, err
	}
	l := p.Manifest.Limits
	v := &version{
		unit: u, pkg: p, code: code,
		writes: guest.NewRate(l.Ops, l.Bytes), cpu: sandbox.NewCPU(float64(l.CPU) / 100),
	}
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
	}
	return v, v.session.trigger(p, code)
}

// open makes a session and how an instance that has it is called.
func (v *version) open() (*session, sandbox.Call) {
	u, m := v.unit, v.pkg.Manifest
	u.mu.Lock()
	defer u.mu.Unlock()
	g, host := guest.Host(u.s.cfg.World, u.name, &m.Grants, guest.Use{Writes: v.writes, Space: u.space})
	s := &session{unit: u, guest: g, grants: &m.Grants, dataset: g.First(), timers: make(map[uint32]*timer)}
	u.sessions = append(u.sessions, s)
	host.Service = s
	if u.s.cfg.Bus != nil {
		host.Messages = s
	}
	host.Fetch = u.s.fetcher(&m.Grants)
	host.Log = u.journal.Say
	host.Emit = func(name string, payload []byte) { u.journal.Say("[event] " + name + " " + string(payload)) }
	host.Count = u.s.cfg.Count(u.name)
	host.Denied = func(call string) {
		u.mu.Lock()
		u.denied[call]++
		u.mu.Unlock()
	}
	call := sandbox.Call{
		Host: host, CPU: v.cpu, Memory: uint64(m.Limits.Memory), Deadline: m.Limits.Deadline,
		Args: []string{u.name}, Stdout: u.journal, Stderr: u.journal,
	}
	if m.Kind == module.Service && !v.code.Reacts() {
		call.Deadline = 0 // one call is all its life
	}
	return s, call
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
			err = s.watch(place{t.Change.Dataset, t.Change.Prefix})
		}
		if err != nil {
			return fmt.Errorf("trigger %v: %w", t, err)
		}
	}
	if len(s.places) > 0 || !code.Handles(sandbox.OnChange) && !code.Handles(sandbox.OnRemoteOp) {
		return nil
	}
	for _, d := range s.grants.Data {
		if err := s.watch(place{d.Dataset, d.Prefix}); err != nil && d.Read != 0 {
			return fmt.Errorf("watch dataset %s: %w", d.Dataset, err)
		}
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
		// Its shutdown is bounded by the module's deadline, and by ours.
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
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
	next, err := u.start(r.pkg)
	if err == nil && next.pkg.Manifest.Kind != v.pkg.Manifest.Kind {
		next.end()
		err = fmt.Errorf("it was a %s and is a %s now: remove the module and add it again", v.pkg.Manifest.Kind, r.pkg.Manifest.Kind)
	}
	if err != nil {
		u.say(fmt.Sprintf("kept version %s: %s does not start: %v", v.pkg.Manifest.Version, r.pkg.Manifest.Version, err))
		r.done <- err
		return v
	}
	if entry := next.code.Entry(); entry != "" && next.instance != nil {
		if err := u.enterGuest(u.feeding, next, entry); err != nil {
			next.end()
			r.done <- err
			return v
		}
	}
	u.take(next)
	v.end()
	u.say("version " + next.pkg.Manifest.Version + " runs")
	r.done <- nil
	return next
}
