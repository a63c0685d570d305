package sandbox_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// nx.h declares every function with the type it has, and no other.
func TestCHeader(t *testing.T) {
	header, err := os.ReadFile("sdk/c/nx.h")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]string{}
	for _, d := range regexp.MustCompile(`NX_IMPORT\((\w+)\) (\w+) nx_(\w+)\(([^)]*)\);`).FindAllStringSubmatch(string(header), -1) {
		if d[1] != d[3] {
			t.Errorf("nx_%s imports %s", d[3], d[1])
		}
		var params string
		for _, p := range strings.Split(d[4], ",") {
			switch {
			case strings.Contains(p, "*"), strings.Contains(p, "uint32_t "):
				params += "i"
			case strings.Contains(p, "uint64_t "):
				params += "I"
			}
		}
		declared[d[1]] = params + "→" + map[string]string{"int32_t": "i", "int64_t": "I", "void": ""}[d[2]]
	}
	for _, f := range sandboxtest.Functions {
		letters := func(types []sandboxtest.Type) (s string) {
			for _, t := range types {
				s += map[sandboxtest.Type]string{i32: "i", i64: "I"}[t]
			}
			return s
		}
		if want := letters(f.Params) + "→" + letters(f.Results); declared[f.Name] != want {
			t.Errorf("nx.h declares %s as %q, want %q", f.Name, declared[f.Name], want)
		}
		delete(declared, f.Name)
	}
	if len(declared) > 0 {
		t.Errorf("nx.h declares functions that do not exist: %v", declared)
	}
}

// The C guest that is kept in binary form runs.
func TestCGuest(t *testing.T) {
	wasm, err := os.ReadFile("../examples/hello-c/hello.wasm")
	if err != nil {
		t.Fatal(err)
	}
	node := sandboxtest.NewNode()
	node.Vars["NX_NAME"] = "Ada"
	if err := compile(t, wasm).Run(t.Context(), sandbox.Call{Host: node.Host()}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(node.Logs(), "|"); got != "[guest] hello, Ada" {
		t.Errorf("logged %q", got)
	}
	if v, _ := node.Host().CRDT.GCounterValue("hello-c:greetings"); v != 1 {
		t.Errorf("counted %d greetings, want 1", v)
	}
}
