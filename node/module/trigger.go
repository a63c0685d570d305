package module

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Trigger is one kind of event that calls a module: exactly one of its fields is
// set. A function gets a fresh instance for each event. A service gets it in its
// mailbox; its triggers are what it is subscribed to from the start.
type Trigger struct {
	Message string        // a subject, or one that ends in ".*"
	HTTP    string        // requests to this path and all below
	Every   time.Duration // again and again, first when that much time has passed
	Change  *Change
}

// Change is a change of an object whose key starts with Prefix.
type Change struct {
	Dataset string `toml:"dataset" json:"dataset"`
	Prefix  string `toml:"prefix,omitempty" json:"prefix"`
}

// The times that may lie between two calls of a trigger "every".
const (
	MinEvery = 10 * time.Millisecond
	MaxEvery = 30 * 24 * time.Hour
)

func (t Trigger) String() string {
	switch {
	case t.Message != "":
		return "message " + t.Message
	case t.HTTP != "":
		return "http " + t.HTTP
	case t.Change != nil:
		return fmt.Sprintf("change %s %q", t.Change.Dataset, t.Change.Prefix)
	}
	return "every " + shortDuration(t.Every)
}

// triggerDoc is a trigger as written.
type triggerDoc struct {
	Message string  `toml:"message,omitempty" json:"message,omitempty"`
	HTTP    string  `toml:"http,omitempty" json:"http,omitempty"`
	Every   string  `toml:"every,omitempty" json:"every,omitempty"`
	Change  *Change `toml:"change,inline,omitempty" json:"change,omitempty"`
}

// trigger checks it, also against the grants: an event tells what happened, so
// the module must be allowed to know.
func (d triggerDoc) trigger(g *Grants) (Trigger, error) {
	t := Trigger{Message: d.Message, HTTP: d.HTTP, Change: d.Change}
	kinds := 0
	for _, set := range []bool{d.Message != "", d.HTTP != "", d.Every != "", d.Change != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return t, errors.New("want exactly one of message, http, every and change")
	}
	switch {
	case d.Message != "" && !validPattern(d.Message):
		return t, fmt.Errorf("message: got %s: want %s", quoted(d.Message), wantSubject)
	case d.Message != "" && !g.CanSubscribe(d.Message):
		return t, fmt.Errorf("message: %q is not granted: add it to grants.subscribe", d.Message)
	case d.HTTP != "" && !validRoute(d.HTTP):
		return t, fmt.Errorf(`http: got %s: want a path such as "/" or "/api", at most %d bytes, without // . .. ? #`, quoted(d.HTTP), maxRoute)
	case d.Change != nil && !validDataset(d.Change.Dataset):
		return t, fmt.Errorf("change: dataset: got %s: want the name of a dataset, 1 to %d bytes", quoted(d.Change.Dataset), maxDataset)
	case d.Change != nil && !g.CanWatch(d.Change.Dataset, d.Change.Prefix):
		return t, fmt.Errorf("change: %q in dataset %q may not be read: add it to grants.data with read", d.Change.Prefix, d.Change.Dataset)
	case d.Every == "":
		return t, nil
	}
	every, err := time.ParseDuration(d.Every)
	if err != nil || every < MinEvery || every > MaxEvery {
		return t, fmt.Errorf(`every: got %s: want a duration such as "10s", from %v to %v`, quoted(d.Every), MinEvery, MaxEvery)
	}
	t.Every = every
	return t, nil
}

func (t Trigger) document() triggerDoc {
	d := triggerDoc{Message: t.Message, HTTP: t.HTTP, Change: t.Change}
	if t.Every != 0 {
		d.Every = shortDuration(t.Every)
	}
	return d
}

// MatchRoute reports whether a request for a path is for the route: the path is
// the route or lies below it. "/" is everything.
func MatchRoute(route, urlPath string) bool {
	rest, ok := strings.CutPrefix(urlPath, strings.TrimSuffix(route, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

func validRoute(s string) bool {
	return len(s) <= maxRoute && s[0] == '/' && path.Clean(s) == s && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`?#\%"<>`, r)
	}) < 0
}
