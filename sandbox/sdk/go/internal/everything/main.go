//go:build wasip1

// Command everything is a guest that calls every function of the SDK once and logs what it sees. The sandbox's tests run it.
package main

import (
	"errors"
	"fmt"
	"os"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

func main() {
	see("grow", nx.GCounter("k").Add(2))
	see2("grow", nx.GCounter("k").Value)
	see("stock", errors.Join(nx.PNCounter("k").Add(1), nx.PNCounter("k").Add(-6)))
	see2("stock", nx.PNCounter("k").Value)

	_, ok, err := nx.Register("k").Get()
	see("unset", err, ok)
	see("register", nx.Register("k").Set([]byte("v")))
	v, ok, err := nx.Register("k").Get()
	see("register", err, string(v), ok)

	m := nx.Map("k")
	see("map", errors.Join(m.Set("b", []byte("2")), m.Set("a", []byte("1")), m.Set("c", nil), m.Remove("c")))
	see2("map a", func() (bool, error) { return m.Contains("a") })
	see2("map c", func() (bool, error) { return m.Contains("c") })
	v, ok, err = m.Get("b")
	see("map b", err, string(v), ok)
	entries, err := m.Entries()
	see("map", err, fmt.Sprintf("%s", entries))

	s := nx.Set("k")
	see("set", errors.Join(s.Add("y"), s.Add("x"), s.Add("z"), s.Remove("z")))
	see2("set z", func() (bool, error) { return s.Contains("z") })
	see2("set", s.Elements)

	l := nx.List("k")
	first, err := l.InsertAfter(nx.Head, []byte("one"))
	see("list", err, len(first) > 0)
	_, err = l.InsertAfter(first, []byte("two"))
	see("list", errors.Join(err, l.Delete(first)))
	values, err := l.Values()
	see("list", err, fmt.Sprintf("%s", values))

	see("private", errors.Join(nx.Put([]byte("p/1"), []byte("x")), nx.Put([]byte("p/2"), nil), nx.Put([]byte("q"), nil), nx.Delete([]byte("q"))))
	see2("private q", func() (bool, error) { return nx.Exists([]byte("q")) })
	v, ok, err = nx.Get([]byte("p/1"))
	see("private p/1", err, string(v), ok)
	rows, err := nx.Scan([]byte("p/"), nil, 9)
	see("scan", err, fmt.Sprintf("%s", rows))
	keys, err := nx.Keys([]byte("p/"), []byte("p/1"), 9)
	see("keys", err, fmt.Sprintf("%s", keys))
	see("reserved", nx.Put([]byte("__nx/"), nil))

	see2("module", nx.ModuleID)
	caps, err := nx.Capabilities()
	see("capabilities", err, len(caps))
	mode, ok := nx.Env("NX_MODE")
	see("env", nil, mode, ok)
	see("event", nx.Emit("done", []byte("p")))
	see("now", nil, nx.Now().UnixMilli())
	see("monotonic", nil, nx.Monotonic() >= 0)
	see("random", nx.Random(make([]byte, 9)))
	sum, err := nx.SHA256([]byte("abc"))
	see("sha256", err, fmt.Sprintf("%x", sum[:4]))
	sum, err = nx.BLAKE3([]byte("abc"))
	see("blake3", err, fmt.Sprintf("%x", sum[:4]))
	see2("node", nx.NodeID)
	peers, err := nx.Peers()
	see("peers", err, peers)
	see("commit", nx.Commit())
	see("args", nil, os.Args, len(os.Environ()))
	fmt.Println("to stdout")
	if mode == "abort" {
		nx.Abort("as told")
	}
}

func see(what string, err error, values ...any) {
	nx.Logf("%s: %v %v", what, values, err)
}

func see2[T any](what string, f func() (T, error)) {
	v, err := f()
	see(what, err, v)
}
