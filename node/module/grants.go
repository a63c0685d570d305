package module

import (
	"fmt"
	"slices"
	"strings"
)

// Grants is what a module may do beyond computing, logging and keeping db_* keys
// of its own. Everything is denied that is not listed, and a nil *Grants denies
// everything. Its methods take a guest's bytes as they come: what is malformed
// is denied. They do not change it, so they may be called at once.
type Grants struct {
	Data      []DataGrant
	Publish   []string // subjects: exact, or all below with ".*" at the end
	Subscribe []string
	Hosts     []string // for outgoing HTTP: host, host:port, *.example.org, *.example.org:port
	Env       []string // names of environment variables, NX_… or NUMAX_…
	Random    bool
	Time      bool
	Peers     bool // who is connected
	Blobs     bool // to make blobs, and to read those whose hash it knows
}

// DataGrant opens the objects of a dataset whose keys start with Prefix.
type DataGrant struct {
	Dataset     string
	Prefix      string // "": all keys
	Read, Write Families
}

// CanRead reports whether the module may read an object. family is named as on
// the command line.
func (g *Grants) CanRead(dataset, family, key string) bool {
	return g.data(dataset, key, func(d *DataGrant) bool { return d.Read.Has(family) })
}

// CanWrite reports whether the module may change an object. It does not follow
// that it may read it.
func (g *Grants) CanWrite(dataset, family, key string) bool {
	return g.data(dataset, key, func(d *DataGrant) bool { return d.Write.Has(family) })
}

// CanWatch reports whether the module may hear of changes of the objects whose
// keys start with prefix: it may read all these keys, in some family. Of a change
// in another family it must not hear: ask CanRead for each.
func (g *Grants) CanWatch(dataset, prefix string) bool {
	return g.data(dataset, prefix, func(d *DataGrant) bool { return d.Read != 0 })
}

// CanUse reports whether the module has any grant in the dataset.
func (g *Grants) CanUse(dataset string) bool {
	return g != nil && slices.ContainsFunc(g.Data, func(d DataGrant) bool { return d.Dataset == dataset })
}

func (g *Grants) data(dataset, key string, ok func(*DataGrant) bool) bool {
	if g == nil {
		return false
	}
	for i := range g.Data {
		d := &g.Data[i]
		if d.Dataset == dataset && strings.HasPrefix(key, d.Prefix) && ok(d) {
			return true
		}
	}
	return false
}

// CanPublish reports whether the module may send to the subject, which is exact.
func (g *Grants) CanPublish(subject string) bool {
	return g != nil && validSubject(subject) && covered(g.Publish, subject)
}

// CanSubscribe reports whether the module may receive what is sent to the
// subject, or with ".*" at its end to any subject below it.
func (g *Grants) CanSubscribe(subject string) bool {
	return g != nil && validPattern(subject) && covered(g.Subscribe, subject)
}

// MatchSubject reports whether an exact subject is meant by a pattern: by itself,
// or by "a.*" if it begins with "a." and goes on.
func MatchSubject(pattern, subject string) bool {
	stem, subtree := strings.CutSuffix(pattern, "*")
	return pattern == subject || subtree && len(subject) > len(stem) && strings.HasPrefix(subject, stem)
}

// covered takes patterns as subjects too: "a.b.*" begins with "a." and goes on.
func covered(patterns []string, subject string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return MatchSubject(p, subject) })
}

// CanFetch reports whether the module may send HTTP requests to the host, an IP
// address without brackets or a name, whatever the name resolves to: who dials
// must refuse addresses that a name should not lead to.
func (g *Grants) CanFetch(host string, port uint16) bool {
	host, ok := canonicalHost(host)
	return g != nil && ok && slices.ContainsFunc(g.Hosts, func(h string) bool { return matchHost(h, host, port) })
}

// CanEnv reports whether the module may read the variable.
func (g *Grants) CanEnv(name string) bool { return g != nil && slices.Contains(g.Env, name) }

// check says what is wrong with a manifest's grants.
func (g *Grants) check() error {
	for i, d := range g.Data {
		if err := d.check(); err != nil {
			return fmt.Errorf("data %d: %w", i+1, err)
		}
	}
	for _, list := range []struct {
		key    string
		values []string
		ok     func(string) bool
		want   string
	}{
		{"publish", g.Publish, validPattern, wantSubject},
		{"subscribe", g.Subscribe, validPattern, wantSubject},
		{"hosts", g.Hosts, validHost, "a host as in URLs, in lower case, host:port, or *.example.org for all names below"},
		{"env", g.Env, validEnv, "NX_ or NUMAX_ and then A-Z, 0-9 and _, at most 128 bytes"},
	} {
		if len(list.values) > MaxList {
			return fmt.Errorf("%s: %d values: want at most %d", list.key, len(list.values), MaxList)
		}
		for _, v := range list.values {
			if !list.ok(v) {
				return fmt.Errorf("%s: got %s: want %s", list.key, quoted(v), list.want)
			}
		}
	}
	if len(g.Data) > MaxList {
		return fmt.Errorf("data: %d grants: want at most %d", len(g.Data), MaxList)
	}
	return nil
}

func (d *DataGrant) check() error {
	switch {
	case !validDataset(d.Dataset):
		return fmt.Errorf("dataset: got %s: want the name of a dataset, 1 to %d bytes", quoted(d.Dataset), maxDataset)
	case len(d.Prefix) > maxPrefix:
		return fmt.Errorf("prefix: %d bytes: want at most %d", len(d.Prefix), maxPrefix)
	case d.Read|d.Write == 0:
		return fmt.Errorf("grants nothing: give it read = %q, write = %q, or a list of families", allFamilies, allFamilies)
	}
	return nil
}

func validDataset(name string) bool { return name != "" && len(name) <= maxDataset }

const wantSubject = "a subject, 1 to 128 of A-Z a-z 0-9 _ . : -, or one that ends in .* for all below it"

func validSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && strings.IndexFunc(s, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune("_.:-", r)
	}) < 0
}

// validPattern takes a subject, and one that ends in ".*".
func validPattern(s string) bool {
	stem, subtree := strings.CutSuffix(s, ".*")
	return validSubject(stem) && (!subtree || len(s) <= maxSubject)
}

func validEnv(s string) bool {
	rest, ok := strings.CutPrefix(s, "NX_")
	if !ok {
		rest, ok = strings.CutPrefix(s, "NUMAX_")
	}
	return ok && rest != "" && len(s) <= maxEnv && strings.IndexFunc(rest, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}) < 0
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
