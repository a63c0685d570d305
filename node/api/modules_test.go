package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

func (m *memoryNode) act(verb, name string) error {
	if name != "m" {
		return fmt.Errorf("module %q: %w", name, api.ErrNotFound)
	}
	m.acts = append(m.acts, verb)
	return nil
}

func (m *memoryNode) Modules() ([]api.Module, error) { return []api.Module{{Name: "m"}}, nil }

func (m *memoryNode) AddModule(_ context.Context, bundle io.Reader, source string) (api.Module, error) {
	b, err := io.ReadAll(bundle)
	return api.Module{Name: string(b), Version: source}, err
}

func (m *memoryNode) ReloadModule(_ context.Context, name string) (api.Module, error) {
	return api.Module{Name: name}, m.act("reload", name)
}

func (m *memoryNode) Web() http.Handler { return http.NotFoundHandler() }

func (m *memoryNode) RemoveModule(_ context.Context, name string, purge bool) (api.Leftover, error) {
	return api.Leftover{Module: name, Keys: 1}, m.act(fmt.Sprint("remove ", purge), name)
}

func (m *memoryNode) StartModule(_ context.Context, name string) error { return m.act("start", name) }

func (m *memoryNode) StopModule(_ context.Context, name string) error { return m.act("stop", name) }

func (m *memoryNode) RestartModule(_ context.Context, name string) error {
	return m.act("restart", name)
}

func TestModules(t *testing.T) {
	dir := tempDir(t)
	n := newNode()
	serve(t, listen(t, dir, "127.0.0.1:0"), n)
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	all, err := c.Modules(ctx)
	if err != nil || len(all) != 1 || all[0].Name != "m" {
		t.Errorf("modules %+v, %v", all, err)
	}
	m, err := c.AddModule(ctx, strings.NewReader("bytes"), "/a b")
	if err != nil || m.Name != "bytes" || m.Version != "/a b" {
		t.Errorf("add: %+v, %v", m, err)
	}
	if m, err := c.ReloadModule(ctx, "m"); err != nil || m.Name != "m" {
		t.Errorf("reload: %+v, %v", m, err)
	}
	for _, do := range []func(context.Context, string) error{c.StartModule, c.StopModule, c.RestartModule} {
		if err := do(ctx, "m"); err != nil {
			t.Error(err)
		}
		if err := do(ctx, "other"); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("of another: %v", err)
		}
	}
	for _, purge := range []bool{false, true} {
		if left, err := c.RemoveModule(ctx, "m", purge); err != nil || left != (api.Leftover{Module: "m", Keys: 1}) {
			t.Errorf("remove: %+v, %v", left, err)
		}
		if _, err := c.RemoveModule(ctx, "other", purge); !errors.Is(err, api.ErrNotFound) {
			t.Errorf("of another: %v", err)
		}
	}
	if got := strings.Join(n.acts, " "); got != "reload start stop restart remove false remove true" {
		t.Errorf("did %s", got)
	}
}
