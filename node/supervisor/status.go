package supervisor

import (
	"maps"

	"github.com/numax-mesh/numax/node/api"
)

// status is what is told of a unit.
func (u *unit) status() api.Module {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.pkg.Manifest
	s := api.Module{
		Name: u.name, Version: m.Version, Kind: string(m.Kind), State: string(u.state), Since: u.since,
		Restarts: u.restarts, Failure: u.failure,
		Calls: maps.Clone(u.calls), Failed: u.failed, Denied: maps.Clone(u.denied),
		Storage: u.space.Used(), Grants: m.Grants.Describe(), Limits: m.Limits.String(),
	}
	s.Waiting, s.Dropped = u.box.figures()
	if u.cpu == nil {
		return s // none has run yet
	}
	ran, waited := u.cpu.Used()
	s.CPU, s.Throttled = ran.Seconds(), waited.Seconds()
	s.Ops, s.Bytes, s.Refused = u.writes.Took()
	return s
}

// List tells of every module on the shelf, by name.
func (s *Supervisor) List() ([]api.Module, error) {
	names, err := s.cfg.Shelf.Names()
	if err != nil {
		return nil, err
	}
	var all []api.Module
	for _, name := range names {
		all = append(all, s.status(name))
	}
	return all, nil
}

func (s *Supervisor) status(name string) api.Module {
	if u := s.unit(name); u != nil {
		return u.status()
	}
	m := s.cfg.Shelf.Status(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.bad[name]; err != nil {
		m.State, m.Failure = string(GaveUp), err.Error()
	}
	return m
}

// Status is what can be said of a module that does not run.
func (s Shelf) Status(name string) api.Module {
	p, err := s.Open(name)
	if err != nil {
		return api.Module{Name: name, State: string(GaveUp), Failure: err.Error()}
	}
	m := p.Manifest
	return api.Module{
		Name: name, Version: m.Version, Kind: string(m.Kind), State: string(Stopped),
		Grants: m.Grants.Describe(), Limits: m.Limits.String(),
	}
}
