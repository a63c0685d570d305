package module

import (
	"fmt"
	"strings"
)

// Describe says in lines for people what a module may do. Names from the
// manifest that may have any bytes are quoted.
func (g *Grants) Describe() []string {
	if g == nil {
		return nil
	}
	var lines []string
	for _, d := range g.Data {
		var may []string
		if d.Read != 0 {
			may = append(may, "read "+strings.Join(d.Read.Names(), " "))
		}
		if d.Write != 0 {
			may = append(may, "write "+strings.Join(d.Write.Names(), " "))
		}
		keys := "every key"
		if d.Prefix != "" {
			keys = fmt.Sprintf("keys that begin with %q", d.Prefix)
		}
		lines = append(lines, fmt.Sprintf("%s: %s in dataset %q", strings.Join(may, ", "), keys, d.Dataset))
	}
	for _, l := range []struct {
		what string
		list []string
	}{{"publish", g.Publish}, {"subscribe to", g.Subscribe}, {"fetch from", g.Hosts}, {"read variables", g.Env}} {
		if len(l.list) > 0 {
			lines = append(lines, l.what+" "+strings.Join(l.list, " "))
		}
	}
	for _, b := range []struct {
		what string
		may  bool
	}{
		{"draw random numbers", g.Random},
		{"read the clock", g.Time},
		{"see who is connected", g.Peers},
		{"keep blobs, and fetch them from other nodes", g.Blobs},
	} {
		if b.may {
			lines = append(lines, b.what)
		}
	}
	return lines
}

// String is one line for people.
func (l Limits) String() string {
	parts := make([]string, len(limitTable))
	for i, row := range limitTable {
		parts[i] = fmt.Sprintf("%s %v", row.key, row.unit.format(*row.at(&l)))
	}
	return strings.Join(parts, ", ")
}

func (r Restart) String() string {
	if r.Policy == Never {
		return string(r.Policy)
	}
	return fmt.Sprintf("%s, after %s to %s, given up after %d failures in a row", r.Policy, shortDuration(r.Backoff), shortDuration(r.MaxBackoff), r.Tries)
}
