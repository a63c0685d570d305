package module

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// ManifestName is the file that says what a module is and asks for.
const ManifestName = "module.toml"

// Limits of a manifest.
const (
	MaxManifest = 64 << 10 // bytes
	MaxName     = 64       // bytes of a module's name
	MaxList     = 64       // values of a list: triggers, data grants, subjects, hosts, names

	maxVersion = 64
	maxDataset = 128
	maxPrefix  = 8 << 10
	maxSubject = 128
	maxHost    = 253
	maxEnv     = 128
	maxRoute   = 256
)

// Manifest says what a module is, what calls it, what it asks for and what it may
// take. What Parse returns is checked, with every default filled in.
type Manifest struct {
	Name    string // also that of its db_* keys
	Version string
	Wasm    string // path of the binary; NAME.wasm by default
	Files   string // folder of files that are served as they are, "" for none
	Kind    Kind
	Restart Restart
	Grants  Grants
	Limits  Limits

	Triggers []Trigger
}

// Kind is how instances live.
type Kind string

// A service is one instance behind a mailbox, with state from call to call. A
// function has a fresh instance for each event.
const (
	Service  Kind = "service"
	Function Kind = "function"
)

// Restart is what follows when a service ends. The wait doubles from Backoff to
// MaxBackoff, and starts again at Backoff after a run longer than MaxBackoff.
type Restart struct {
	Policy              Policy
	Backoff, MaxBackoff time.Duration
	Tries               int // failures in a row after which the node gives up
}

// Policy is when a service is started again.
type Policy string

// When a service is started again.
const (
	Always    Policy = "always"
	OnFailure Policy = "on-failure"
	Never     Policy = "never"
)

// DefaultRestart is that of a manifest that says nothing of it.
var DefaultRestart = Restart{Policy: OnFailure, Backoff: 500 * time.Millisecond, MaxBackoff: time.Minute, Tries: 10}

const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = time.Hour
	maxTries   = 1_000_000
)

// defaultName is where modules that are run by hand keep their db_* keys.
const defaultName = "default"

// Parse reads a manifest. Its errors name the key, and say what to write.
func Parse(text []byte) (*Manifest, error) {
	m, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("module: read %s: %w", ManifestName, err)
	}
	return m, nil
}

func parse(text []byte) (*Manifest, error) {
	if len(text) > MaxManifest {
		return nil, fmt.Errorf("%d bytes: want at most %d", len(text), MaxManifest)
	}
	var d document
	if err := toml.Unmarshal(text, &d); err != nil {
		return nil, located(err)
	}
	if err := checkKeys(text); err != nil {
		return nil, err
	}
	return d.manifest()
}

var (
	moduleName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	semver     = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

func (d *document) manifest() (*Manifest, error) {
	m := &Manifest{
		Name: d.Name, Version: d.Version, Wasm: d.Wasm, Files: d.Files,
		Kind: Kind(d.Kind),
	}
	if m.Wasm == "" {
		m.Wasm = d.Name + ".wasm"
	}
	if m.Kind == "" {
		m.Kind = Service
	}
	switch {
	case !moduleName.MatchString(d.Name):
		return nil, fmt.Errorf("name: got %s: want 1 to %d of a-z 0-9 -, with no - at the start", quoted(d.Name), MaxName)
	case d.Name == defaultName:
		return nil, fmt.Errorf("name: %q is that of modules run by hand: choose another", defaultName)
	case len(d.Version) > maxVersion || !semver.MatchString(d.Version):
		return nil, fmt.Errorf(`version: got %s: want one such as "1.2.0" or "1.2.0-beta.1"`, quoted(d.Version))
	case m.Kind != Service && m.Kind != Function:
		return nil, fmt.Errorf("kind: got %s: want %q or %q", quoted(d.Kind), Service, Function)
	case !validPath(m.Wasm) || isReserved(m.Wasm):
		return nil, fmt.Errorf(`wasm: got %s: want the path of the binary, such as "build/%s.wasm"`, quoted(d.Wasm), d.Name)
	case m.Files != "" && (!validPath(m.Files) || isReserved(m.Files)):
		return nil, fmt.Errorf(`files: got %s: want a folder beside %s, such as "static"`, quoted(d.Files), ManifestName)
	case m.Files != "" && (below(m.Files, m.Wasm) || below(m.Wasm, m.Files)):
		return nil, fmt.Errorf("files: %q has the binary in it, and all files there are served: put it elsewhere", m.Files)
	case len(d.Triggers) > MaxList:
		return nil, fmt.Errorf("triggers: %d: want at most %d", len(d.Triggers), MaxList)
	}
	var err error
	if m.Restart, err = d.Restart.restart(); err != nil {
		return nil, fmt.Errorf("restart.%w", err)
	}
	if m.Grants, err = d.Grants.grants(); err != nil {
		return nil, fmt.Errorf("grants.%w", err)
	}
	if m.Limits, err = d.Limits.limits(); err != nil {
		return nil, fmt.Errorf("limits.%w", err)
	}
	for i, t := range d.Triggers {
		trigger, err := t.trigger(&m.Grants)
		if err != nil {
			return nil, fmt.Errorf("triggers %d: %w", i+1, err)
		}
		m.Triggers = append(m.Triggers, trigger)
	}
	return m, nil
}

func (d *restartDoc) restart() (Restart, error) {
	r := DefaultRestart
	if d.Policy != "" {
		r.Policy = Policy(d.Policy)
	}
	if r.Policy != Always && r.Policy != OnFailure && r.Policy != Never {
		return r, fmt.Errorf("policy: got %s: want %q, %q or %q", quoted(d.Policy), Always, OnFailure, Never)
	}
	tries := int64(r.Tries)
	for _, x := range []struct {
		key         string
		v           any
		unit        unit
		least, most int64
		to          *int64
	}{
		{"backoff", d.Backoff, durations, int64(minBackoff), int64(maxBackoff), (*int64)(&r.Backoff)},
		{"max-backoff", d.MaxBackoff, durations, int64(minBackoff), int64(maxBackoff), (*int64)(&r.MaxBackoff)},
		{"tries", d.Tries, counts, 1, maxTries, &tries},
	} {
		if x.v == nil {
			continue
		}
		n, ok := x.unit.parse(x.v)
		if !ok || n < x.least || n > x.most {
			return r, fmt.Errorf("%s: got %s: want %s from %v to %v", x.key, quoted(x.v), x.unit.what, x.unit.format(x.least), x.unit.format(x.most))
		}
		*x.to = n
	}
	if r.Tries = int(tries); d.MaxBackoff == nil {
		r.MaxBackoff = max(r.MaxBackoff, r.Backoff)
	}
	if r.MaxBackoff < r.Backoff {
		return r, fmt.Errorf("max-backoff: got %s: want at least backoff, %s", shortDuration(r.MaxBackoff), shortDuration(r.Backoff))
	}
	return r, nil
}

func (d *grantsDoc) grants() (Grants, error) {
	g := Grants{
		Publish: orNil(d.Publish), Subscribe: orNil(d.Subscribe), Hosts: orNil(d.Hosts), Env: orNil(d.Env),
		Random: d.Random, Time: d.Time, Peers: d.Peers, Blobs: d.Blobs,
	}
	for i, x := range d.Data {
		grant := DataGrant{Dataset: x.Dataset, Prefix: x.Prefix}
		var err error
		if grant.Read, err = parseFamilies(x.Read); err != nil {
			return g, fmt.Errorf("data %d: read: %w", i+1, err)
		}
		if grant.Write, err = parseFamilies(x.Write); err != nil {
			return g, fmt.Errorf("data %d: write: %w", i+1, err)
		}
		g.Data = append(g.Data, grant)
	}
	return g, g.check()
}

// quoted shows a value of a manifest, but not all of a long one.
func quoted(v any) string {
	s := fmt.Sprint(v)
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	if _, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// orNil makes an empty list the same as none.
func orNil(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}
