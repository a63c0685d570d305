package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// The examples that are kept running, on two nodes that are joined over loopback.

// testServices runs every example with a module.toml.
func testServices(t *testing.T, built string) {
	dir := t.TempDir()
	a := startService(t, built, filepath.Join(dir, "a"), []string{"todo", "sensors", "chat", "inventory"})
	a.run()
	// Compiled code is the same on both.
	if err := os.CopyFS(filepath.Join(dir, "b", "cache"), os.DirFS(filepath.Join(dir, "a", "cache"))); err != nil {
		t.Fatal(err)
	}
	b := startService(t, built, filepath.Join(dir, "b"), []string{"todo", "sensors", "chat", "inventory", "alert"}, "--bootstrap", a.Addrs[0])
	b.run()
	connected(t, a, b, true)
	t.Run("inventory", func(t *testing.T) { testInventory(t, a, b) })
	t.Run("todo", func(t *testing.T) { testTodo(t, a, b) })
	t.Run("sensors", func(t *testing.T) { testSensors(t, a, b) })
	t.Run("chat", func(t *testing.T) { testChat(t, a, b) })
	t.Run("alert", func(t *testing.T) { testAlert(t, a, b) })
	t.Run("pages", func(t *testing.T) { testPages(t, a, b) })
	for _, s := range []*service{a, b} {
		all, err := s.Modules(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.Failed > 0 || m.Restarts > 0 {
				t.Errorf("%s: %d calls failed, %d restarts: %s", m.Name, m.Failed, m.Restarts, m.Failure)
			}
			if len(m.Denied) > 0 {
				t.Errorf("%s was denied %v", m.Name, m.Denied)
			}
		}
	}
}

func testInventory(t *testing.T, a, b *service) {
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "items", "", 200, `[]`},
		{"GET", "items/bolts", "", 404, `{"error":"no bolts was ever in stock"}`},
		{"POST", "items/bolts", `{"change":12}`, 200, `{"item":"bolts","stock":12}`},
		{"POST", "items/bolts", `{"change":-2}`, 200, `{"item":"bolts","stock":10}`},
		{"POST", "items/bolts", `{"change":-11}`, 409, `{"error":"there are 10 of bolts, not 11"}`},
		{"POST", "items/bolts", `{"change":0}`, 400, `{"error":"a change is at most 1000000, up or down, and not 0"}`},
		{"POST", "items/bolts", `{"change":1.5}`, 400, `{"error":"want {\"change\": N}"}`},
		{"POST", "items/bolts", ``, 400, `{"error":"want {\"change\": N}"}`},
		{"POST", "items/bolts", strings.Repeat(" ", 2000), 413, `{"error":"want at most 1 KiB"}`},
		{"POST", "items/", `{"change":1}`, 400, `{"error":"a name has 1 to 64 bytes and no slash"}`},
		{"PUT", "items/bolts", "", 405, `{"error":"want GET, POST or DELETE"}`},
		{"POST", "items", "", 405, `{"error":"want GET of all items; POST and DELETE are for items/NAME"}`},
		{"GET", "shelves", "", 404, `{"error":"want items or items/NAME"}`},
		{"GET", "items", "", 200, `[{"item":"bolts","stock":10}]`},
	} {
		if status, got := a.ask(c.method, "inventory/"+c.path, c.body); status != c.status || got != c.want {
			t.Errorf("%s %s %s: got %d %s, want %d %s", c.method, c.path, c.body, status, got, c.status, c.want)
		}
	}
	// Both sell at once while they cannot see each other: every movement counts, and what is owed shows.
	b.answers("GET", "inventory/items", "", `[{"item":"bolts","stock":10}]`)
	cut(t, a, b)
	for _, s := range []*service{a, b} {
		if status, got := s.ask("POST", "inventory/items/bolts", `{"change":-8}`); status != 200 || got != `{"item":"bolts","stock":2}` {
			t.Errorf("sell 8 of 10: got %d %s", status, got)
		}
	}
	join(t, a, b)
	a.answers("GET", "inventory/items/bolts", "", `{"item":"bolts","stock":-6}`)
	b.answers("GET", "inventory/items/bolts", "", `{"item":"bolts","stock":-6}`)
	b.answers("DELETE", "inventory/items/bolts", "", `{"item":"bolts","stock":0}`)
	a.answers("GET", "inventory/items", "", `[]`)
}

func testTodo(t *testing.T, a, b *service) {
	a.answers("PUT", "todo/api/items/1", `{"text":"milk","done":false}`, `{}`)
	b.answers("GET", "todo/api/items", "", `[{"id":"1","text":"milk","done":false}]`)
	if status, got := a.ask("PUT", "todo/api/items/2", `{"text":" "}`); status != 400 {
		t.Errorf("an empty text: got %d %s, want 400", status, got)
	}
	// Different fields of an item are edited at once: both edits stay. An edit wins over a removal.
	cut(t, a, b)
	a.answers("PUT", "todo/api/items/1", `{"text":"oat milk"}`, `{}`)
	b.answers("PUT", "todo/api/items/1", `{"done":true}`, `{}`)
	a.answers("PUT", "todo/api/items/3", `{"text":"bread"}`, `{}`)
	join(t, a, b)
	b.answers("GET", "todo/api/items", "", `[{"id":"1","text":"oat milk","done":true},{"id":"3","text":"bread","done":false}]`)
	a.answers("GET", "todo/api/items", "", `[{"id":"1","text":"oat milk","done":true},{"id":"3","text":"bread","done":false}]`)
	cut(t, a, b)
	a.answers("DELETE", "todo/api/items/1", "", `{}`)
	a.answers("DELETE", "todo/api/items/3", "", `{}`)
	b.answers("PUT", "todo/api/items/3", `{"done":true}`, `{}`)
	join(t, a, b)
	for _, s := range []*service{a, b} {
		s.answers("GET", "todo/api/items", "", `[{"id":"3","text":"bread","done":true}]`)
	}
	a.answers("DELETE", "todo/api/items/3", "", `{}`)
	b.answers("GET", "todo/api/items", "", `[]`)
}

func testSensors(t *testing.T, a, b *service) {
	type summary struct {
		Last, Min, Mean, Max float64
		N                    int
	}
	for _, s := range []*service{a, b} {
		until(t, func() error {
			all := map[string]summary{}
			_, got := s.ask("GET", "sensors/api/summary", "")
			if err := json.Unmarshal([]byte(got), &all); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			for name, x := range all {
				if x.N < 2 || x.Min > x.Mean || x.Mean > x.Max || x.Last < x.Min || x.Last > x.Max || x.Min < 10 || x.Max > 35 {
					return fmt.Errorf("%s: %+v", name, x)
				}
			}
			if len(all) != 2 {
				return fmt.Errorf("want two sensors, got %s", got)
			}
			return nil
		})
	}
}

func testChat(t *testing.T, a, b *service) {
	for range 2 { // the second is the same message again
		a.answers("POST", "chat/api/say", `{"id":"x1","name":"ann","text":"hello: all"}`, `{}`)
	}
	want := func(s *service, lines ...string) {
		t.Helper()
		until(t, func() error {
			v, err := s.Get(t.Context(), "default", "rga", "chat")
			if err == nil && !slices.Equal(v.List, lines) {
				err = fmt.Errorf("the room: got %q, want %q", v.List, lines)
			}
			return err
		})
	}
	want(b, "ann: hello: all")
	b.answers("POST", "chat/api/say", `{"id":"x2","name":"bob","text":"hi"}`, `{}`)
	want(a, "bob: hi", "ann: hello: all")
	for _, body := range []string{`{"id":"1","name":"","text":"x"}`, `{"id":"1","name":"a: b","text":"x"}`, `{"id":"1","name":"a"}`, `no`} {
		if status, got := a.ask("POST", "chat/api/say", body); status != 400 {
			t.Errorf("say %s: got %d %s, want 400", body, status, got)
		}
	}
	// Who types at one node shows at the other.
	until(t, func() error {
		a.ask("POST", "chat/api/here", `{"name":"ann","typing":true}`)
		_, got := b.ask("POST", "chat/api/here", `{"name":"bob"}`)
		if want := `[{"name":"ann","typing":true},{"name":"bob","typing":false}]`; got != want {
			return fmt.Errorf("here: got %s, want %s", got, want)
		}
		return nil
	})
}

// An alert is raised once each time a remote reading goes over the threshold, whatever else is told meanwhile, and also
// when the node starts again.
func testAlert(t *testing.T, a, b *service) {
	set := func(sensor, celsius string) {
		t.Helper()
		_, err := a.Change(t.Context(), api.Change{
			Dataset: "default", Family: "lww-map", Key: "sensors/summary", Verb: "set", Args: []string{sensor, `{"last":` + celsius + `}`},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	calls := func() (n uint64) {
		t.Helper()
		all, err := b.Modules(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if m.Name == "alert" {
				n = m.Calls["on_remote_op"]
			}
		}
		return n
	}
	// heard waits until the module has seen what was set: a call that is under way may have read before, the next has not.
	heard := func() {
		t.Helper()
		for range 2 {
			before := calls()
			set("fridge", "4")
			until(t, func() error {
				if calls() == before {
					return errors.New("the module was not called")
				}
				return nil
			})
		}
	}
	say := func(celsius string) {
		t.Helper()
		set("oven", celsius)
		heard()
	}
	raised := func(n, text string) {
		t.Helper()
		until(t, func() error {
			v, err := a.Get(t.Context(), "default", "gcounter", "alerts:raised")
			if err == nil && v.Count != n {
				err = fmt.Errorf("raised %s alerts, want %s", v.Count, n)
			}
			m, err2 := a.Get(t.Context(), "default", "lww-map", "alerts")
			if err == nil && err2 == nil && m.Fields["oven"] != text {
				err = fmt.Errorf("the alert is %q, want %q", m.Fields["oven"], text)
			}
			return err
		})
	}
	say("49.9")
	say("50.5")
	raised("1", "oven is at 50.5 °C, over 50")
	say("50.9")
	say("49.8") // it trembles
	say("51")
	if err := b.RestartModule(t.Context(), "alert"); err != nil {
		t.Fatal(err)
	}
	say("51.5")
	raised("1", "oven is at 50.5 °C, over 50")
	say("20")
	say("60")
	raised("2", "oven is at 60.0 °C, over 50")
}
