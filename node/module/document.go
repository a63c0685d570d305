package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

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
	Blobs     bool      `toml:"blobs,omitempty" json:"blobs,omitempty"`
	Data      []dataDoc `toml:"data,omitempty" json:"data,omitempty"`
}

type dataDoc struct {
	Dataset string `toml:"dataset" json:"dataset"`
	Prefix  string `toml:"prefix,omitempty" json:"prefix"`
	Read    any    `toml:"read,omitempty" json:"read,omitempty"`
	Write   any    `toml:"write,omitempty" json:"write,omitempty"`
}

// Encode writes a manifest such that Parse reads the same one.
func (m *Manifest) Encode() ([]byte, error) { return toml.Marshal(m.document()) }

// MarshalJSON has the keys of module.toml, and every default.
func (m *Manifest) MarshalJSON() ([]byte, error) { return json.Marshal(m.document()) }

func (m *Manifest) document() document {
	g := &m.Grants
	d := document{
		Name: m.Name, Version: m.Version, Kind: string(m.Kind), Wasm: m.Wasm, Files: m.Files,
		Restart: restartDoc{string(m.Restart.Policy), shortDuration(m.Restart.Backoff), shortDuration(m.Restart.MaxBackoff), int64(m.Restart.Tries)},
		Grants: grantsDoc{
			Publish: g.Publish, Subscribe: g.Subscribe, Hosts: g.Hosts, Env: g.Env,
			Random: g.Random, Time: g.Time, Peers: g.Peers, Blobs: g.Blobs,
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

// located says where in the text an error is.
func located(err error) error {
	var at *toml.DecodeError
	if errors.As(err, &at) {
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
