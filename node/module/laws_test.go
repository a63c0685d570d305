package module

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	drawSubject  = rapid.StringMatching(`[a-c]{1,2}([.:][a-c]{1,2}){0,3}`)
	drawPattern  = rapid.StringMatching(`[a-c]{1,2}(\.[a-c]{1,2}){0,2}(\.\*)?`)
	drawHostName = rapid.StringMatching(`([a-b]{1,2}\.){0,3}[a-b]{1,3}`)
	drawHost     = rapid.StringMatching(`(\*\.[a-b]{1,2}\.|[a-b]{1,2}\.){0,1}[a-b]{1,3}(:[1-9][0-9]{0,3})?`).Filter(validHost)
	drawEnv      = rapid.StringMatching(`(NX|NUMAX)_[A-B0-1_]{1,3}`)
	drawDataset  = rapid.SampledFrom([]string{"default", "other"})
	drawKey      = rapid.StringMatching(`[a-b/]{0,4}`)
	drawFamily   = rapid.SampledFrom(append([]string{"", "all", "text"}, familyNames...))
	drawFamilies = rapid.OneOf(rapid.Uint16Range(0, 1<<len(familyNames)-1), rapid.Just(uint16(AllFamilies)))
)

func drawList(t *rapid.T, of *rapid.Generator[string], name string) []string {
	return orNil(rapid.SliceOfN(of, 0, 3).Draw(t, name))
}

var drawGrants = rapid.Custom(func(t *rapid.T) Grants {
	g := Grants{
		Publish: drawList(t, drawPattern, "publish"), Subscribe: drawList(t, drawPattern, "subscribe"),
		Hosts: drawList(t, drawHost, "hosts"), Env: drawList(t, drawEnv, "env"),
		Random: rapid.Bool().Draw(t, "random"), Time: rapid.Bool().Draw(t, "time"), Peers: rapid.Bool().Draw(t, "peers"), Blobs: rapid.Bool().Draw(t, "blobs"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "data") {
		d := DataGrant{
			Dataset: drawDataset.Draw(t, "dataset"), Prefix: drawKey.Draw(t, "prefix"),
			Read: Families(drawFamilies.Draw(t, "read")), Write: Families(drawFamilies.Draw(t, "write")),
		}
		if d.Read|d.Write != 0 {
			g.Data = append(g.Data, d)
		}
	}
	return g
})

var drawManifest = rapid.Custom(func(t *rapid.T) *Manifest {
	m := &Manifest{
		Name:    rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,63}`).Filter(func(s string) bool { return s != defaultName }).Draw(t, "name"),
		Version: rapid.StringMatching(`[1-9]?[0-9]\.[0-9]\.[0-9](-[a-z0-9.]{1,8})?`).Draw(t, "version"),
		Wasm:    rapid.StringMatching(`(build/)?[a-z]{1,8}\.wasm`).Draw(t, "wasm"),
		Files:   rapid.SampledFrom([]string{"", "static", "web/dist"}).Draw(t, "files"),
		Kind:    rapid.SampledFrom([]Kind{Service, Function}).Draw(t, "kind"),
		Grants:  drawGrants.Draw(t, "grants"),
		Restart: Restart{
			Policy:     rapid.SampledFrom([]Policy{Always, OnFailure, Never}).Draw(t, "policy"),
			Backoff:    time.Duration(rapid.Int64Range(int64(minBackoff), int64(time.Minute)).Draw(t, "backoff")),
			MaxBackoff: time.Duration(rapid.Int64Range(int64(time.Minute), int64(maxBackoff)).Draw(t, "max-backoff")),
			Tries:      rapid.IntRange(1, maxTries).Draw(t, "tries"),
		},
	}
	for _, row := range limitTable {
		*row.at(&m.Limits) = rapid.Int64Range(row.least, row.most).Draw(t, row.key)
	}
	for range rapid.IntRange(0, 4).Draw(t, "triggers") {
		trigger := Trigger{Every: time.Duration(rapid.Int64Range(int64(MinEvery), int64(MaxEvery)).Draw(t, "every"))}
		switch rapid.IntRange(0, 3).Draw(t, "trigger") {
		case 0:
			trigger = Trigger{HTTP: rapid.StringMatching(`/|(/[a-z0-9._-]{3,5}){1,3}`).Draw(t, "http")}
		case 1:
			if subject := drawPattern.Draw(t, "message"); m.Grants.CanSubscribe(subject) {
				trigger = Trigger{Message: subject}
			}
		case 2:
			if c := (Change{drawDataset.Draw(t, "dataset"), drawKey.Draw(t, "prefix")}); m.Grants.CanWatch(c.Dataset, c.Prefix) {
				trigger = Trigger{Change: &c}
			}
		}
		m.Triggers = append(m.Triggers, trigger)
	}
	return m
})

// What is encoded is parsed as it was.
func TestManifestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawManifest.Draw(t, "manifest")
		text, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(text)
		if err != nil {
			t.Fatalf("Parse: %v of\n%s", err, text)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v\nwant %+v\nfrom\n%s", got, want, text)
		}
	})
}

// question is something that a guest may want to do.
type question struct {
	what string
	ask  func(*Grants) bool
}

var drawQuestion = rapid.Custom(func(t *rapid.T) question {
	dataset, family, key := drawDataset.Draw(t, "dataset"), drawFamily.Draw(t, "family"), drawKey.Draw(t, "key")
	subject := rapid.OneOf(drawSubject, drawPattern, rapid.String()).Draw(t, "subject")
	host := rapid.OneOf(drawHostName, rapid.String()).Draw(t, "host")
	port := rapid.SampledFrom([]uint16{0, 80, 443, 1, 22}).Draw(t, "port")
	env := rapid.OneOf(drawEnv, rapid.String()).Draw(t, "env")
	return rapid.SampledFrom([]question{
		{"read", func(g *Grants) bool { return g.CanRead(dataset, family, key) }},
		{"write", func(g *Grants) bool { return g.CanWrite(dataset, family, key) }},
		{"watch", func(g *Grants) bool { return g.CanWatch(dataset, key) }},
		{"use", func(g *Grants) bool { return g.CanUse(dataset) }},
		{"publish", func(g *Grants) bool { return g.CanPublish(subject) }},
		{"subscribe", func(g *Grants) bool { return g.CanSubscribe(subject) }},
		{"fetch", func(g *Grants) bool { return g.CanFetch(host, port) }},
		{"env", func(g *Grants) bool { return g.CanEnv(env) }},
	}).Draw(t, "question")
})

// Without grants everything is denied, and each grant allows what it allows
// alone: two lists together allow what either does, and nothing else. So all that
// is allowed is allowed by a single line of the manifest.
func TestNothingIsAllowedThatIsNotListed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuestion.Draw(t, "question")
		if q.ask(nil) || q.ask(new(Grants)) {
			t.Fatalf("%s: allowed without grants", q.what)
		}
		a, b := drawGrants.Draw(t, "a"), drawGrants.Draw(t, "b")
		both := Grants{
			Data: slices.Concat(a.Data, b.Data), Publish: slices.Concat(a.Publish, b.Publish),
			Subscribe: slices.Concat(a.Subscribe, b.Subscribe), Hosts: slices.Concat(a.Hosts, b.Hosts), Env: slices.Concat(a.Env, b.Env),
		}
		if got, want := q.ask(&both), q.ask(&a) || q.ask(&b); got != want {
			t.Fatalf("%s: %t with both, want %t", q.what, got, want)
		}
	})
}

// One data grant opens exactly its dataset, its prefix and its families.
func TestDataGrant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := DataGrant{drawDataset.Draw(t, "dataset"), drawKey.Draw(t, "prefix"), Families(drawFamilies.Draw(t, "read")), Families(drawFamilies.Draw(t, "write"))}
		g := Grants{Data: []DataGrant{d}}
		dataset, family, key := drawDataset.Draw(t, "asked"), drawFamily.Draw(t, "family"), drawKey.Draw(t, "key")
		in := dataset == d.Dataset && len(key) >= len(d.Prefix) && key[:len(d.Prefix)] == d.Prefix
		bit := slices.Index(familyNames, family)
		has := func(f Families) bool { return bit >= 0 && f>>bit&1 == 1 }
		if got, want := g.CanRead(dataset, family, key), in && has(d.Read); got != want {
			t.Fatalf("read %s %s %q: %t, want %t", dataset, family, key, got, want)
		}
		if got, want := g.CanWrite(dataset, family, key), in && has(d.Write); got != want {
			t.Fatalf("write %s %s %q: %t, want %t", dataset, family, key, got, want)
		}
	})
}

// Whoever may watch a prefix may read every key below it, in some family.
func TestWatchIsWithinRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGrants.Draw(t, "grants")
		dataset, prefix, key := drawDataset.Draw(t, "dataset"), drawKey.Draw(t, "prefix"), drawKey.Draw(t, "key")
		reads := slices.ContainsFunc(familyNames, func(f string) bool { return g.CanRead(dataset, f, prefix+key) })
		if g.CanWatch(dataset, prefix) && !reads {
			t.Fatalf("may watch %q, may not read %q", prefix, prefix+key)
		}
	})
}

// Whoever may subscribe to a subtree may subscribe to all in it.
func TestSubtrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGrants.Draw(t, "grants")
		pattern, subject := drawPattern.Draw(t, "pattern"), drawSubject.Draw(t, "subject")
		if g.CanSubscribe(pattern) && MatchSubject(pattern, subject) && !g.CanSubscribe(subject) {
			t.Fatalf("may subscribe to %q, not to %q", pattern, subject)
		}
	})
}

// The more families are asked for, the more are had; names and bits agree.
func TestFamiliesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Families(drawFamilies.Draw(t, "families"))
		var list []any
		for _, name := range f.Names() {
			list = append(list, name)
		}
		if got, err := parseFamilies(list); err != nil || got != f {
			t.Fatalf("got %v, %v, want %v", got, err, f)
		}
	})
}
