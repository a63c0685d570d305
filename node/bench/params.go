package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Params are what scenarios can be told.
type Params struct {
	Nodes     int
	Rate      int // a second, on each node
	Duration  time.Duration
	Every     time.Duration
	Ops       int
	Keys      int
	Objects   int
	Missing   int
	Cuts      int
	ValueSize int
	KeySpace  int
	Loss      float64
	File      string
}

// Param is one of the Params as the command line has it.
type Param struct {
	Name, Help string
	// Of is where the value is: an *int, *time.Duration, *float64 or *string.
	Of       func(*Params) any
	min, max float64 // of a number, or a time in seconds
}

// AllParams are the fields of Params.
var AllParams = []Param{
	{"nodes", "`N` nodes, all in this process unless said otherwise", func(p *Params) any { return &p.Nodes }, 2, 64},
	{"rate", "`N` ops a second on each node", func(p *Params) any { return &p.Rate }, 1, 1e6},
	{"duration", "`TIME` of load, or that a link is down", func(p *Params) any { return &p.Duration }, .1, 86400},
	{"every", "`TIME` between two kills", func(p *Params) any { return &p.Every }, .1, 3600},
	{"ops", "`N` ops", func(p *Params) any { return &p.Ops }, 1, 1e9},
	{"keys", "`N` keys that the ops are spread over", func(p *Params) any { return &p.Keys }, 1, 1e8},
	{"objects", "`N` objects that the ops are spread over", func(p *Params) any { return &p.Objects }, 1, 1e8},
	{"missing", "`N` ops that one of the replicas lacks", func(p *Params) any { return &p.Missing }, 1, 1e6},
	{"cuts", "`N` cuts of the link", func(p *Params) any { return &p.Cuts }, 1, 1000},
	{"value-size", "`BYTES` in a value", func(p *Params) any { return &p.ValueSize }, 1, 1 << 20},
	{"key-space", "`N` keys, of which random ones are written", func(p *Params) any { return &p.KeySpace }, 1, 1e9},
	{"loss", "`SHARE` of the gossip messages that each node loses, 0 to 0.99", func(p *Params) any { return &p.Loss }, 0, .99},
	{"file", "editing trace `FILE`, gzip JSON", func(p *Params) any { return &p.File }, 0, 0},
}

// Params are the scenario's defaults with the values of given that changed
// names; those the scenario does not take stay as they are.
func (s Scenario) Params(given Params, changed func(name string) bool) (Params, error) {
	p := s.Defaults
	for _, param := range AllParams {
		if !s.TakesParam(param.Name) || !changed(param.Name) {
			continue
		}
		var v float64
		switch from := param.Of(&given).(type) {
		case *int:
			*param.Of(&p).(*int), v = *from, float64(*from)
		case *time.Duration:
			*param.Of(&p).(*time.Duration), v = *from, from.Seconds()
		case *float64:
			*param.Of(&p).(*float64), v = *from, *from
		case *string:
			*param.Of(&p).(*string) = *from
		}
		if !(v >= param.min && v <= param.max) { // NaN is neither
			return p, fmt.Errorf("--%s %v: want %v to %v", param.Name, param.show(&given), param.limit(param.min), param.limit(param.max))
		}
	}
	if s.TakesParam("missing") && s.TakesParam("ops") && p.Missing > p.Ops {
		return p, fmt.Errorf("--missing %d: there are only %d ops", p.Missing, p.Ops)
	}
	return p, nil
}

func (param Param) limit(v float64) any {
	switch param.Of(new(Params)).(type) {
	case *time.Duration:
		return time.Duration(v * float64(time.Second))
	case *int:
		return int(v)
	}
	return v
}

// TakesParam reports whether a parameter means anything to the scenario.
func (s Scenario) TakesParam(name string) bool {
	return slices.Contains(strings.Fields(s.Takes), name)
}

// Flags are the parameters of a scenario as they would be typed.
func (s Scenario) Flags(p Params) string {
	var all []string
	for _, param := range AllParams {
		if v := param.show(&p); s.TakesParam(param.Name) && v != "" {
			all = append(all, "--"+param.Name+" "+v)
		}
	}
	return strings.Join(all, " ")
}

func (param Param) show(p *Params) string {
	switch v := param.Of(p).(type) {
	case *int:
		return fmt.Sprint(*v)
	case *time.Duration:
		return v.String()
	case *float64:
		return fmt.Sprint(*v)
	case *string:
		return *v
	}
	panic("bench: a parameter of no known type")
}
