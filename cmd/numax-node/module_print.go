package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/numax-mesh/numax/node/module"
)

// moduleView is what inspect shows.
type moduleView struct {
	Manifest   *module.Manifest   `json:"manifest"`
	Hash       string             `json:"hash"`
	Bytes      int64              `json:"bytes"`
	WasmBytes  int                `json:"wasm_bytes"`
	Memory     uint64             `json:"memory"` // bytes it begins with
	Reacts     []string           `json:"reacts"`
	Imports    []string           `json:"imports"` // of nx
	Needs      []module.Need      `json:"needs"`
	Unanswered []string           `json:"unanswered"` // triggers
	SignedBy   []module.PublicKey `json:"signed_by"`
	Stale      int                `json:"stale_signatures"`
}

func viewOf(p *module.Package, b *module.Binary) moduleView {
	v := moduleView{
		Manifest: p.Manifest, Hash: hash(p), Bytes: p.Size(), WasmBytes: len(p.Wasm), Memory: b.Memory,
		Reacts: b.Reacts(), Imports: b.NX(), Needs: []module.Need{}, Unanswered: []string{},
		SignedBy: append([]module.PublicKey{}, p.SignedBy()...),
	}
	v.Stale = len(p.Signatures) - len(v.SignedBy)
	if m := p.Manifest; m != nil {
		v.Needs = append(v.Needs, m.Grants.Needs(b)...)
		v.Unanswered = texts(m.Unanswered(b))
	}
	return v
}

// print shows one fact a line; those of a kind have its name once.
func (v *moduleView) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	line := func(what string, lines ...string) {
		for _, l := range lines {
			_ = say(w, "%s\t%s\n", what, printable(l))
			what = ""
		}
	}
	m := v.Manifest
	if m != nil {
		line("module", fmt.Sprintf("%s %s, a %s", m.Name, m.Version, m.Kind))
	} else {
		line("module", "no "+module.ManifestName+": it can be run by hand, with numax-node run")
	}
	line("hash", v.Hash)
	line("size", fmt.Sprintf("%d bytes, of which the binary %d", v.Bytes, v.WasmBytes))
	line("memory", fmt.Sprintf("%d KiB at the start", v.Memory>>10))
	line("reacts", or(strings.Join(v.Reacts, " "), "to nothing"))
	line("calls", or(strings.Join(v.Imports, " "), "nothing of nx"))
	if m != nil {
		line("triggers", texts(m.Triggers)...)
		line("may", append(m.Grants.Describe(), "nothing else")...)
		line("limits", m.Limits.String())
		line("restart", m.Restart.String())
	}
	line("signed by", or(strings.Join(texts(v.SignedBy), ", "), "nobody"))
	if v.Stale > 0 {
		line("warning", count(uint64(v.Stale), "signature")+" of other contents: it was changed since")
	}
	for _, n := range v.Needs {
		line("warning", fmt.Sprintf("%s needs grants.%s, and the manifest does not ask for it", n.What, n.Grant))
	}
	for _, t := range v.Unanswered {
		line("warning", "nothing in the binary answers the trigger "+t)
	}
	return w.Flush()
}
