// Command everything is a guest that calls every function of the SDK and logs what it sees. Its twins in the other languages log the same,
// line for line.
package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

func main() {}

//go:wasmexport run
func run() {
	replicated()
	private()
	system()
	nx.Abort("as told")
}

func replicated() {
	grow := nx.GCounter("clé")
	done("grow", grow.Add(2))
	see("grow", try(grow.Value()))
	done("grow", nx.GCounter("most").Add(math.MaxUint64))
	see("grow", try(nx.GCounter("most").Value()))
	stock := nx.PNCounter("k")
	done("stock", stock.Add(1))
	done("stock", stock.Add(-6))
	see("stock", try(stock.Value()))
	done("stock", nx.PNCounter("least").Add(math.MinInt64))
	see("stock", try(nx.PNCounter("least").Value()))

	register := nx.Register("k")
	see("register", maybe(register.Get()))
	done("register", register.Set([]byte("žluť")))
	see("register", maybe(register.Get()))

	m := nx.Map("k")
	done("map", m.Set("b", []byte("2")))
	done("map", m.Set("a", []byte("1")))
	done("map", m.Set("c", nil))
	done("map", m.Remove("c"))
	see("map a", try(m.Contains("a")))
	see("map c", try(m.Contains("c")))
	see("map b", maybe(m.Get("b")))
	entries, err := m.Entries()
	see("map", join(entries, err, func(e nx.Entry) string { return e.Field + "=" + string(e.Value) }))

	set := nx.Set("k")
	for _, element := range []string{"y", "x", "z"} {
		done("set", set.Add(element))
	}
	done("set", set.Remove("z"))
	see("set z", try(set.Contains("z")))
	elements, err := set.Elements()
	see("set", join(elements, err, strings.Clone))

	list := nx.List("k")
	first, _ := list.InsertAfter(nx.Head, []byte("one"))
	_, err = list.InsertAfter(first, []byte("two"))
	done("list", err)
	done("list", list.Delete(first))
	values, err := list.Values()
	see("list", join(values, err, text))
}

func private() {
	done("private", nx.Put([]byte("p/1"), []byte("x")))
	done("private", nx.Put([]byte("p/2"), nil))
	done("private", nx.Put([]byte("q"), nil))
	done("private", nx.Delete([]byte("q")))
	see("private q", try(nx.Exists([]byte("q"))))
	see("private q", maybe(nx.Get([]byte("q"))))
	see("private p/1", maybe(nx.Get([]byte("p/1"))))
	see("private p/2", maybe(nx.Get([]byte("p/2"))))
	rows, err := nx.Scan([]byte("p/"), nil, 9)
	see("scan", join(rows, err, func(r nx.Row) string { return text(r.Key) + "=" + text(r.Value) }))
	keys, err := nx.Keys([]byte("p/"), []byte("p/1"), 9)
	see("keys", join(keys, err, text))

	done("large", nx.Put([]byte("large"), make([]byte, 1<<20)))
	large, _, err := nx.Get([]byte("large"))
	see("large", try(len(large), err))
	_, err = nx.Scan([]byte("large"), nil, 9)
	done("too large", err)
	done("too large", nx.Put([]byte("large"), make([]byte, 1<<20+1)))
	done("reserved", nx.Put([]byte("__nx/"), nil))
	done("long key", nx.GCounter(strings.Repeat("k", 8193)).Add(1))
	done("bad event", nx.Emit("a b", nil))
}

func system() {
	see("module", try(nx.ModuleID()))
	capabilities, err := nx.Capabilities()
	see("capabilities", try(slices.Contains(capabilities, "commit"), err))
	see("env", env("NX_MODE"))
	see("env", env("NX_NONE"))
	done("event", nx.Emit("done", []byte("p")))
	see("now", fmt.Sprint(nx.Now().UnixMilli()))
	see("monotonic", fmt.Sprint(nx.Monotonic().Milliseconds() < 1<<40))
	done("random", nx.Random(make([]byte, 9)))
	sum, err := nx.SHA256([]byte("abc"))
	see("sha256", try(fmt.Sprintf("%x", sum[:4]), err))
	sum, err = nx.BLAKE3([]byte("abc"))
	see("blake3", try(fmt.Sprintf("%x", sum[:4]), err))
	see("node", try(nx.NodeID()))
	peers, err := nx.Peers()
	see("peers", join(peers, err, func(p nx.Peer) string { return p.Addr + "=" + p.ID }))
	done("commit", nx.Commit())
}

func see(what, value string) { nx.Log(what + ": " + value) }

func done(what string, err error) { see(what, try("ok", err)) }

func try[T any](v T, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

func maybe(value []byte, ok bool, err error) string {
	if err == nil && !ok {
		return "absent"
	}
	return try(text(value), err)
}

func env(name string) string {
	v, ok := nx.Env(name)
	return maybe([]byte(v), ok, nil)
}

func join[T any](all []T, err error, show func(T) string) string {
	var s []string
	for _, v := range all {
		s = append(s, show(v))
	}
	return try(strings.Join(s, ","), err)
}

func text(b []byte) string { return string(b) }
