package sandbox_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// Every SDK declares the functions with the types they have, and no others.
func TestDeclarations(t *testing.T) {
	for file, pattern := range map[string]string{
		"sdk/c/nx.h":                 `NX_IMPORT\((?P<name>\w+)\) (?P<result>\w+) nx_\w+\((?P<params>[^)]*)\);`,
		"sdk/rust/src/sys.rs":        `pub fn (?P<name>\w+)\((?P<params>[^)]*)\)(?: -> (?P<result>\w+|!))?;`,
		"sdk/assemblyscript/host.ts": `@external\("nx", "(?P<name>\w+)"\)\s+export declare function \w+\((?P<params>[^)]*)\): (?P<result>\w+);`,
		"sdk/go/host_wasip1.go":      `//go:wasmimport nx (?P<name>\w+)\s+func \w+\((?P<params>[^)]*)\)(?P<result> \w+)?`,
	} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(pattern)
		declared := map[string]string{}
		for _, d := range re.FindAllStringSubmatch(string(source), -1) {
			group := func(name string) string { return d[re.SubexpIndex(name)] }
			var params string
			for p := range strings.SplitSeq(group("params"), ",") {
				params += letter(p)
			}
			declared[group("name")] = params + "→" + letter(group("result"))
		}
		for _, f := range sandboxtest.Functions {
			want := letters(f.Params) + "→" + letters(f.Results)
			got, ok := declared[f.Name]
			if got != want && (ok || !strings.HasPrefix(file, "sdk/go/")) { // Go has one function where several do the same
				t.Errorf("%s declares %s as %q, want %q", file, f.Name, got, want)
			}
			delete(declared, f.Name)
		}
		if len(declared) > 0 {
			t.Errorf("%s declares functions that do not exist: %v", file, declared)
		}
	}
}

// letter is the ABI's for a parameter or a result as it is written in one of the languages.
func letter(text string) string {
	switch text = strings.TrimSpace(text); {
	case text == "", text == "void", text == "!":
		return ""
	case strings.HasSuffix(text, "string"): // Go passes the pointer and the length
		return "ii"
	case !strings.Contains(text, "*") && strings.Contains(text, "64"):
		return "I"
	}
	return "i"
}

func letters(types []sandboxtest.Type) (s string) {
	for _, t := range types {
		s += map[sandboxtest.Type]string{i32: "i", i64: "I"}[t]
	}
	return s
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
