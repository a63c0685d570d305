package module

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const minimal = "name = \"thermo\"\nversion = \"1.2.0\"\n"

func TestDefaults(t *testing.T) {
	got, err := Parse([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want := &Manifest{
		Name: "thermo", Version: "1.2.0", Wasm: "thermo.wasm", Kind: Service, Restart: DefaultRestart, Limits: DefaultLimits(),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// Each says where it is and what to write instead.
func TestWrongManifests(t *testing.T) {
	for _, x := range []struct{ text, want string }{
		{"", `name: got "": want 1 to 64 of a-z`},
		{"name = 'Thermo'", `name: got "Thermo": want`},
		{"name = '-a'", "name: got"},
		{"name = 'default'", "of modules run by hand: choose another"},
		{"name = 3", "line 1: name: got TOML integer: want text in quotes"},
		{"name = 'a", "line 1: "},
		{"name = 'a'", `version: got "": want one such as "1.2.0"`},
		{"name = 'a'\nversion = '1.2'", "version: got"},
		{minimal + "color = 'red'", `line 3: unknown key "color": want one of name, version, `},
		{minimal + "[grants]\nnetwork = true", `line 4: unknown key "grants.network"`},
		{minimal + "[limits]\nmem = '1MiB'", `line 4: unknown key "limits.mem"`},
		{minimal + "Kind = 'function'", `line 3: unknown key "Kind"`},
		{minimal + "grants.data = [{dataset = 'd', read = 'all'}, {dataset = 'd',\nlist = 1}]", `line 4: unknown key "grants.data.list"`},
		{minimal + "[[triggers]]\nchange = {dataset = 'd', key = 1}", `line 4: unknown key "triggers.change.key"`},
		{minimal + "[[triggers]]\nchange.dataset.name = 'd'", "line 4: triggers.change.dataset"},
		{minimal + "[grants.data.x]\n", "line 3: "},
		{minimal + "kind = 'daemon'", `kind: got "daemon": want "service" or "function"`},
		{minimal + "wasm = '../a.wasm'", "wasm: got"},
		{minimal + "wasm = '/a.wasm'", "wasm: got"},
		{minimal + "wasm = 'Module.toml'", "wasm: got"},
		{minimal + "files = '.'", "files: got"},
		{minimal + "files = 'C:\\a'", "files: got"},
		{minimal + "files = 'a'\nwasm = 'a/b.wasm'", "has the binary in it"},
		{minimal + "restart = 'always'", "line 3: restart: got TOML string: want a table"},
		{minimal + "[restart]\npolicy = 'maybe'", `restart.policy: got "maybe": want "always"`},
		{minimal + "[restart]\nbackoff = '1ms'", "restart.backoff: got \"1ms\": want a duration"},
		{minimal + "[restart]\nbackoff = '2m'\nmax-backoff = '1m'", "restart.max-backoff: got 1m: want at least"},
		{minimal + "[restart]\ntries = 0", "restart.tries: got 0: want a number from 1 to"},
		{minimal + "[grants]\nrandom = 'yes'", "line 4: grants.random: got TOML string: want true or false"},
		{minimal + "[grants]\npublish = 'a'", "line 4: grants.publish: got TOML string: want a list of texts"},
		{minimal + "[grants]\npublish = ['*']", `grants.publish: got "*": want a subject`},
		{minimal + "[grants]\nsubscribe = ['a b']", `grants.subscribe: got "a b"`},
		{minimal + "[grants]\nhosts = ['http://a.org']", `grants.hosts: got "http://a.org": want a host`},
		{minimal + "[grants]\nenv = ['PATH']", `grants.env: got "PATH": want NX_`},
		{minimal + "[[grants.data]]\nread = 'all'", `grants.data 1: dataset: got "": want the name`},
		{minimal + "[[grants.data]]\ndataset = 'd'", "grants.data 1: grants nothing: give it read"},
		{minimal + "[[grants.data]]\ndataset = 'd'\nread = 'text'", `grants.data 1: read: got "text": want "all", or a list of families: gcounter`},
		{minimal + "[[grants.data]]\ndataset = 'd'\nwrite = ['all', 'rga']", `grants.data 1: write: got "all"`},
		{minimal + "[[grants.data]]\ndataset = 'd'\nwrite = true", "grants.data 1: write: got true"},
		{minimal + "[limits]\nmemory = '8GiB'", `limits.memory: got "8GiB": want a size such as "64MiB", from 64KiB to 4GiB`},
		{minimal + "[limits]\nmemory = 1000000", "limits.memory: got 1000000: want a size"},
		{minimal + "[limits]\nstorage = '99999999999GiB'", "limits.storage: got"},
		{minimal + "[limits]\ncpu = 25", `limits.cpu: got 25: want a share such as "25%", from 1% to 100%`},
		{minimal + "[limits]\ndeadline = '1h'", `limits.deadline: got "1h": want a duration such as "500ms" or "2m", from 1ms to 10m`},
		{minimal + "[limits]\nops = 0.5", "limits.ops: got 0.5: want a number from 1"},
		{minimal + "[[triggers]]", "triggers 1: want exactly one of message, http, every and change"},
		{minimal + "[[triggers]]\nhttp = '/'\nevery = '1s'", "triggers 1: want exactly one"},
		{minimal + "[[triggers]]\nhttp = 'api'", `triggers 1: http: got "api": want a path`},
		{minimal + "[[triggers]]\nhttp = '/a/../b'", "triggers 1: http: got"},
		{minimal + "[[triggers]]\nevery = '1us'", `triggers 1: every: got "1us": want a duration`},
		{minimal + "[[triggers]]\nmessage = 'a'", `triggers 1: message: "a" is not granted: add it to grants.subscribe`},
		{minimal + "[[triggers]]\nmessage = '*'", `triggers 1: message: got "*": want a subject`},
		{minimal + "[[triggers]]\nchange = {dataset = 'd'}", "add it to grants.data with read"},
		{minimal + "[[triggers]]\nchange = {prefix = 'd'}", "change: dataset: got"},
		{minimal + strings.Repeat("[[triggers]]\nhttp = '/'\n", MaxList+1), "triggers: 65: want at most 64"},
		{strings.Repeat("#", MaxManifest+1), "want at most 65536"},
	} {
		_, err := Parse([]byte(x.text))
		switch {
		case err == nil:
			t.Errorf("taken:\n%s", x.text)
		case !strings.Contains(err.Error(), x.want):
			t.Errorf("got error %q, want %q", err, x.want)
		case strings.Contains(err.Error(), "\n"):
			t.Errorf("error of several lines: %q", err)
		}
	}
}

// A text of unknown keys costs no more than reading it.
func TestManyUnknownKeys(t *testing.T) {
	for _, text := range []string{strings.Repeat("[[a]]\n", 10_000), "a = {" + strings.Repeat("b = 1, ", 9000) + "c = 1}"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse([]byte(text))
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(256*len(text)); err == nil || got > most {
			t.Errorf("%v: %d bytes allocated for %d, want at most %d", err, got, len(text), most)
		}
	}
}

// Defaults lie within what is allowed, and the tables that people read have what
// the code has.
func TestLimitTable(t *testing.T) {
	page, source := readText(t, "MANIFEST.md"), readText(t, "limits.go")
	for _, row := range limitTable {
		if row.def < row.least || row.def > row.most {
			t.Errorf("%s: default %d is not from %d to %d", row.key, row.def, row.least, row.most)
		}
		words := []string{row.key}
		for _, n := range []int64{row.def, row.least, row.most} {
			text := row.unit.format(n)
			if got, ok := row.unit.parse(text); !ok || got != n {
				t.Errorf("%s: %v is read as %d, want %d", row.key, text, got, n)
			}
			words = append(words, fmt.Sprint(text))
		}
		if line := `//\s+` + strings.Join(words, `\s+`); !regexp.MustCompile(line).MatchString(source) {
			t.Errorf("limits.go has no comment %q", words)
		}
		if line := "| " + strings.Join(words, " | ") + " |"; !strings.Contains(page, line) {
			t.Errorf("MANIFEST.md has no line %q", line)
		}
	}
}

// The example of the page is right, and has every key there is.
func TestPage(t *testing.T) {
	_, text, _ := strings.Cut(readText(t, "MANIFEST.md"), "```toml\n")
	text, _, _ = strings.Cut(text, "```")
	m, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if m.Limits.CPU != 25 || m.Limits.Memory != 32<<20 || len(m.Triggers) != 4 || m.Grants.Data[0].Write != 0b1001 {
		t.Errorf("got %+v", m)
	}
	for _, of := range []reflect.Type{
		reflect.TypeFor[document](), reflect.TypeFor[restartDoc](), reflect.TypeFor[grantsDoc](), reflect.TypeFor[dataDoc](),
		reflect.TypeFor[triggerDoc](), reflect.TypeFor[Change](),
	} {
		for i := range of.NumField() {
			key, _, _ := strings.Cut(of.Field(i).Tag.Get("toml"), ",")
			if !regexp.MustCompile(`\b` + key + `(\]| = )`).MatchString(text) {
				t.Errorf("the example has no %s", key)
			}
		}
	}
}

func readText(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
