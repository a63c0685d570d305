package module

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

// document is a manifest as written, in TOML or JSON.
type document struct {
	Name     string       `toml:"name" json:"name"`
	Version  string       `toml:"version" json:"version"`
	Kind     string       `toml:"kind,omitempty" json:"kind"`
	Wasm     string       `toml:"wasm,omitempty" json:"wasm"`
	Files    string       `toml:"files,omitempty" json:"files,omitempty"`
	Restart  restartDoc   `toml:"restart" json:"restart"`
	Grants   grantsDoc    `toml:"grants" json:"grants"`
	Limits   limitsDoc    `toml:"limits" json:"limits"`
	Triggers []triggerDoc `toml:"triggers,omitempty" json:"triggers"`
}

type restartDoc struct {
	Policy     string `toml:"policy,omitempty" json:"policy"`
	Backoff    any    `toml:"backoff,omitempty" json:"backoff"`
	MaxBackoff any    `toml:"max-backoff,omitempty" json:"max-backoff"`
	Tries      any    `toml:"tries,omitempty" json:"tries"`
}

type grantsDoc struct {
	Publish   []string  `toml:"publish,omitempty" json:"publish,omitempty"`
	Subscribe []string  `toml:"subscribe,omitempty" json:"subscribe,omitempty"`
	Hosts     []string  `toml:"hosts,omitempty" json:"hosts,omitempty"`
	Env       []string  `toml:"env,omitempty" json:"env,omitempty"`
	Random    bool      `toml:"random,omitempty" json:"random,omitempty"`
	Time      bool      `toml:"time,omitempty" json:"time,omitempty"`
	Peers     bool      `toml:"peers,omitempty" json:"peers,omitempty"`
	Data      []dataDoc `toml:"data,omitempty" json:"data,omitempty"`
}

type dataDoc struct {
	Dataset string `toml:"dataset" json:"dataset"`
	Prefix  string `toml:"prefix,omitempty" json:"prefix"`
	Read    any    `toml:"read,omitempty" json:"read,omitempty"`
	Write   any    `toml:"write,omitempty" json:"write,omitempty"`
}

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
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&d); err != nil {
		return nil, located(err)
	}
	return d.manifest()
}

// located says where in the text an error is.
func located(err error) error {
	var unknown *toml.StrictMissingError
	var at *toml.DecodeError
	switch {
	case errors.As(err, &unknown) && len(unknown.Errors) > 0:
		e := unknown.Errors[0]
		line, _ := e.Position()
		return fmt.Errorf("line %d: unknown key %q", line, strings.Join(e.Key(), "."))
	case errors.As(err, &at):
		line, _ := at.Position()
		msg := strings.TrimPrefix(at.Error(), "toml: ")
		if m := wrongType.FindStringSubmatch(msg); m != nil {
			msg = fmt.Sprintf("got TOML %s: want %s", m[1], wantOf(m[2]))
		}
		if key := strings.Join(at.Key(), "."); key != "" {
			msg = key + ": " + msg
		}
		return fmt.Errorf("line %d: %s", line, msg)
	}
	return err
}

// wrongType is how the TOML decoder says it, in words of Go.
var wrongType = regexp.MustCompile(`^cannot decode TOML (.+) into .+ of type (\S+)$`)

func wantOf(goType string) string {
	switch goType {
	case "string":
		return "text in quotes"
	case "bool":
		return "true or false"
	case "[]string":
		return "a list of texts in quotes"
	}
	return "a table"
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
		return r, fmt.Errorf("max-backoff: got %v: want at least backoff, %v", r.MaxBackoff, r.Backoff)
	}
	return r, nil
}

func (d *grantsDoc) grants() (Grants, error) {
	g := Grants{
		Publish: orNil(d.Publish), Subscribe: orNil(d.Subscribe), Hosts: orNil(d.Hosts), Env: orNil(d.Env),
		Random: d.Random, Time: d.Time, Peers: d.Peers,
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

// Encode writes a manifest such that Parse reads the same one.
func (m *Manifest) Encode() ([]byte, error) { return toml.Marshal(m.document()) }

// MarshalJSON has the keys of module.toml, and every default.
func (m *Manifest) MarshalJSON() ([]byte, error) { return json.Marshal(m.document()) }

func (m *Manifest) document() document {
	g := &m.Grants
	d := document{
		Name: m.Name, Version: m.Version, Kind: string(m.Kind), Wasm: m.Wasm, Files: m.Files,
		Restart: restartDoc{string(m.Restart.Policy), m.Restart.Backoff.String(), m.Restart.MaxBackoff.String(), int64(m.Restart.Tries)},
		Grants: grantsDoc{
			Publish: g.Publish, Subscribe: g.Subscribe, Hosts: g.Hosts, Env: g.Env,
			Random: g.Random, Time: g.Time, Peers: g.Peers,
		},
		Limits:   m.Limits.document(),
		Triggers: []triggerDoc{},
	}
	for _, x := range g.Data {
		d.Grants.Data = append(d.Grants.Data, dataDoc{x.Dataset, x.Prefix, x.Read.written(), x.Write.written()})
	}
	for _, t := range m.Triggers {
		d.Triggers = append(d.Triggers, t.document())
	}
	return d
}

// validPath takes what is a path inside a module on every system.
func validPath(p string) bool {
	return fs.ValidPath(p) && p != "." && len(p) <= MaxPath && strings.IndexFunc(p, func(r rune) bool {
		return r < ' ' || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r)
	}) < 0
}

// isReserved reports whether a path is taken by what describes a module.
func isReserved(p string) bool {
	return strings.EqualFold(p, ManifestName) || strings.EqualFold(p, SignaturesName)
}

// below reports whether a path is a folder, or in it.
func below(folder, p string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

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
