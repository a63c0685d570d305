package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

func (n *memoryNode) Export(_ context.Context, dataset string, w io.Writer) error {
	switch dataset {
	case "default":
		_, err := io.WriteString(w, strings.Repeat("a line\n", 100_000))
		return err
	case "empty":
		return nil
	case "broken":
		_, _ = io.WriteString(w, strings.Repeat("a line\n", 100_000))
		return errors.New("the disk is gone")
	}
	return fmt.Errorf("dataset %q: %w", dataset, api.ErrNotFound)
}

func (n *memoryNode) Snapshot(ctx context.Context, dataset string, w io.Writer) error {
	return n.Export(ctx, dataset, w)
}

func (n *memoryNode) Import(_ context.Context, _ string, r io.Reader) (api.Imported, error) {
	b, err := io.ReadAll(r)
	if err == nil && !bytes.HasPrefix(b, []byte("{")) {
		err = fmt.Errorf("%w: line 1", api.ErrUsage)
	}
	return api.Imported{Changed: bytes.Count(b, []byte("\n"))}, err
}

func (n *memoryNode) Members(string) ([]api.Member, error) {
	return []api.Member{{Name: "a/1", Self: true}, {Name: "b/2", Ops: 3}}, nil
}

func (n *memoryNode) Forget(_ context.Context, _, name string) (api.Member, error) {
	if name != "b/2" {
		return api.Member{}, fmt.Errorf("%q: %w", name, api.ErrNotFound)
	}
	return api.Member{Name: name, Retired: true}, nil
}

func (n *memoryNode) Resync(_ context.Context, _, peer string) error {
	if peer != "b" {
		return errors.New("no sync stream with that peer")
	}
	return nil
}

// What is streamed arrives whole or as an error, never as a part.
func TestStreams(t *testing.T) {
	dir := tempDir(t)
	l := listen(t, dir, "127.0.0.1:0")
	serve(t, l, newNode())
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	for dataset, want := range map[string]int{"default": 700_000, "empty": 0} {
		var b bytes.Buffer
		if err := c.Export(ctx, dataset, &b); err != nil || b.Len() != want {
			t.Errorf("export of %q: %d bytes, want %d (%v)", dataset, b.Len(), want, err)
		}
	}
	if err := c.Snapshot(ctx, "broken", io.Discard); err == nil {
		t.Error("a snapshot that breaks off is no error")
	}
	if err := c.Snapshot(ctx, "none", io.Discard); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("snapshot of no dataset: %v", err)
	}
	if got, err := c.Import(ctx, "default", strings.NewReader("{}\n{}\n")); err != nil || got.Changed != 2 {
		t.Errorf("import: %+v, %v", got, err)
	}
	if _, err := c.Import(ctx, "default", strings.NewReader("x")); !errors.Is(err, api.ErrUsage) {
		t.Errorf("import of nonsense: %v", err)
	}
}

func TestMembers(t *testing.T) {
	dir := tempDir(t)
	serve(t, listen(t, dir, "127.0.0.1:0"), newNode())
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if all, err := c.Members(ctx, "default"); err != nil || len(all) != 2 || all[1].Ops != 3 {
		t.Errorf("members: %+v, %v", all, err)
	}
	if m, err := c.Forget(ctx, "default", "b/2"); err != nil || !m.Retired {
		t.Errorf("forget: %+v, %v", m, err)
	}
	if _, err := c.Forget(ctx, "default", "c"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("forget of nobody: %v", err)
	}
	if err := c.Resync(ctx, "default", "b"); err != nil {
		t.Error(err)
	}
	if err := c.Resync(ctx, "default", "c"); err == nil {
		t.Error("a resync from nobody")
	}
}
