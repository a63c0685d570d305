package module

import (
	"fmt"
	"slices"
	"strings"
)

// Need is a grant without which something of a module is in vain: a function it
// calls answers -6, or an export is never called.
type Need struct {
	What  string `json:"what"`  // the import or export
	Grant string `json:"grant"` // the key of the manifest
}

// Reactions are the exports that a node calls, each on its event.
var Reactions = []string{
	"init", "shutdown", "on_change", "on_remote_op", "on_tick", "on_message", "on_request", "on_peer_connected",
	"on_peer_disconnected",
}

// needTable is what an nx import or an export needs. Functions that are not here,
// such as those of a module's own db_* keys, need nothing.
var needTable = []struct {
	prefix string // of the name
	grant  string
	has    func(g *Grants) bool
}{
	{"random_bytes", "random", func(g *Grants) bool { return g.Random }},
	{"time_", "time", func(g *Grants) bool { return g.Time }},
	{"env_get", "env", func(g *Grants) bool { return len(g.Env) > 0 }},
	{"net_peers", "peers", func(g *Grants) bool { return g.Peers }},
	{"on_peer_", "peers", func(g *Grants) bool { return g.Peers }},
	{"msg_publish", "publish", func(g *Grants) bool { return len(g.Publish) > 0 }},
	{"msg_send", "publish", func(g *Grants) bool { return len(g.Publish) > 0 }},
	{"msg_request", "publish", func(g *Grants) bool { return len(g.Publish) > 0 }},
	{"msg_subscribe", "subscribe", func(g *Grants) bool { return len(g.Subscribe) > 0 }},
	{"on_message", "subscribe", func(g *Grants) bool { return len(g.Subscribe) > 0 }},
	{"fetch", "hosts", func(g *Grants) bool { return len(g.Hosts) > 0 }},
	{"blob_", "blobs", func(g *Grants) bool { return g.Blobs }},
	{"dataset_use", "data", func(g *Grants) bool { return len(g.Data) > 0 }},
	{"crdt_watch", "data read", func(g *Grants) bool { return g.reads("") }},
	{"on_change", "data read", func(g *Grants) bool { return g.reads("") }},
	{"on_remote_op", "data read", func(g *Grants) bool { return g.reads("") }},
}

// Needs lists what the binary calls and exports without a grant of the kind, by
// name. Whether a grant is wide enough shows only in the call.
func (g *Grants) Needs(b *Binary) []Need {
	if g == nil {
		g = new(Grants)
	}
	var needs []Need
	for _, name := range append(b.NX(), b.Reacts()...) {
		if grant := g.lacks(name); grant != "" {
			needs = append(needs, Need{name, grant})
		}
	}
	slices.SortFunc(needs, func(a, b Need) int { return strings.Compare(a.What, b.What) })
	return needs
}

// Unanswered lists the triggers for whose events the binary has no export.
func (m *Manifest) Unanswered(b *Binary) []Trigger {
	exports := func(name string) bool { return slices.Contains(b.Exports, name) }
	return slices.DeleteFunc(slices.Clone(m.Triggers), func(t Trigger) bool {
		switch {
		case t.Message != "":
			return exports("on_message")
		case t.HTTP != "":
			return exports("on_request") || m.Files != ""
		case t.Change != nil:
			return exports("on_change") || exports("on_remote_op")
		}
		return exports("on_tick")
	})
}

// lacks names the grant that a function needs and the module has not.
func (g *Grants) lacks(name string) string {
	for _, row := range needTable {
		if strings.HasPrefix(name, row.prefix) {
			if row.has(g) {
				return ""
			}
			return row.grant
		}
	}
	family, writes, ok := crdtCall(name)
	switch {
	case !ok || writes && g.writes(family) || !writes && g.reads(family):
		return ""
	case writes:
		return "data write " + family
	}
	return "data read " + family
}

// crdtCall takes the name of a function on an object apart.
func crdtCall(name string) (family string, writes, ok bool) {
	for _, row := range []struct{ prefix, family string }{
		{"crdt_gcounter_", "gcounter"},
		{"crdt_pncounter_", "pncounter"},
		{"crdt_lww_map_", "lww-map"}, // before the register, whose name begins like it
		{"crdt_lww_", "lww-register"},
		{"crdt_orset_", "orset"},
		{"crdt_rga_", "rga"},
	} {
		if act, ok := strings.CutPrefix(name, row.prefix); ok {
			return row.family, slices.Contains([]string{"inc", "dec", "set", "remove", "add", "insert", "delete"}, act), true
		}
	}
	return "", false, false
}

// reads reports whether there is anything of the family that may be read; "" is
// any family.
func (g *Grants) reads(family string) bool {
	return slices.ContainsFunc(g.Data, func(d DataGrant) bool { return d.Read.Has(family) || family == "" && d.Read != 0 })
}

func (g *Grants) writes(family string) bool {
	return slices.ContainsFunc(g.Data, func(d DataGrant) bool { return d.Write.Has(family) })
}

// Denied says why a call of this module was denied, for whoever writes its manifest.
func (m *Manifest) Denied(call string) string {
	once := []string{"timer_set", "crdt_watch", "msg_subscribe"}
	if m.Kind == Function && slices.Contains(once, call) {
		return call + " is denied: an instance of a function hears of one event only"
	}
	for _, row := range needTable {
		if strings.HasPrefix(call, row.prefix) {
			return fmt.Sprintf("%s is denied: grants.%s in %s does not cover it", call, row.grant, ManifestName)
		}
	}
	family, writes, ok := crdtCall(call)
	switch {
	case !ok:
		return call + " is denied"
	case writes:
		return fmt.Sprintf("%s is denied: no grants.data in %s writes %s under that key", call, ManifestName, family)
	}
	return fmt.Sprintf("%s is denied: no grants.data in %s reads %s under that key", call, ManifestName, family)
}
