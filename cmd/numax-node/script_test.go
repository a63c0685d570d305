package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/numax-mesh/numax/node/api"
	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"numax-node": main})
}

// TestScripts runs testdata/script: the command as people type it, with every
// wrong input and its message.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitvalue": waitValue, "waitpeer": waitPeer, "waitmember": waitMember, "capture": capture, "waittext": waitText,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", filepath.Join(env.WorkDir, ".tmp")) // where nodes of a machine meet
			env.Setenv("NETWORK", "test-"+filepath.Base(env.WorkDir))
			if cache, err := os.UserCacheDir(); err == nil {
				env.Setenv("GOCACHE", filepath.Join(cache, "go-build")) // there is no home to have one in
			}
			for name, code := range guests() {
				if err := os.WriteFile(filepath.Join(env.WorkDir, name), code, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// eventually waits until cond has nothing to say against it.
func eventually(ts *testscript.TestScript, cond func() error) {
	deadline := time.Now().Add(30 * time.Second)
	for err := cond(); err != nil; err = cond() {
		if time.Now().After(deadline) {
			ts.Fatalf("after 30 s: %v", err)
		}
		time.Sleep(10 * time.Millisecond) // a poll with a deadline
	}
}

func wantArgs(ts *testscript.TestScript, neg bool, args []string, usage string) {
	if neg || len(args) != len(strings.Fields(usage))-1 {
		ts.Fatalf("usage: %s", usage)
	}
}

// waitValue waits until the node of DIR holds the value.
func waitValue(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, "waitvalue DIR FAMILY KEY VALUE")
	eventually(ts, func() error {
		c, err := api.Dial(ts.MkAbs(args[0]))
		if err != nil {
			return err
		}
		v, err := c.Get(context.Background(), "default", args[1], args[2])
		if err == nil && v.String() != args[2]+" = "+args[3] {
			err = fmt.Errorf("%v, want %s", v, args[3])
		}
		return err
	})
}

// waitPeer waits until the nodes of the two directories are connected.
func waitPeer(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, "waitpeer DIR OTHER")
	eventually(ts, func() error {
		a, err := api.Dial(ts.MkAbs(args[0]))
		b, err2 := api.Dial(ts.MkAbs(args[1]))
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		other, err := b.Status(context.Background())
		peers, err2 := a.Peers(context.Background())
		err = errors.Join(err, err2)
		if err == nil && !slices.ContainsFunc(peers, func(p api.Peer) bool { return p.ID == other.PeerID }) {
			err = errors.New("not connected")
		}
		return err
	})
}

// waitMember waits until the node of DIR knows that a device is waiting, or
// revoked.
func waitMember(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, "waitmember DIR DEVICE STATE")
	eventually(ts, func() error {
		c, err := api.Dial(ts.MkAbs(args[0]))
		if err != nil {
			return err
		}
		all, err := c.Members(context.Background(), "default")
		if err == nil && !slices.ContainsFunc(all, func(m api.Member) bool {
			return m.Device == args[1] && (m.Waiting && args[2] == "waiting" || m.Revoked && args[2] == "revoked")
		}) {
			err = fmt.Errorf("%s is not %s", args[1], args[2])
		}
		return err
	})
}

// waitText waits until a file has a line that matches.
func waitText(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, "waittext FILE REGEXP")
	line := regexp.MustCompile("(?m)" + args[1])
	eventually(ts, func() error {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && !line.Match(text) {
			err = fmt.Errorf("no %s in %s:\n%s", args[1], args[0], text)
		}
		return err
	})
}

// capture sets a variable to the group of the regexp in the last
// stdout.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	wantArgs(ts, neg, args, "capture NAME REGEXP")
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("no %s in stdout", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// guests are hand-made modules for the scripts.
func guests() map[string][]byte {
	return map[string][]byte{
		"inc.wasm":       increments("visits"),
		"inc-trap.wasm":  increments("visits", wasm.Trap()...),
		"spin.wasm":      wasm.Runs(wasm.Forever()...),
		"inc-spin.wasm":  increments("visits", wasm.Forever()...),
		"text.wasm":      []byte("hello, this is text"),
		"component.wasm": []byte("\x00asm\x0d\x00\x01\x00"),
		"norun.wasm":     wasm.Preamble,
		"import.wasm":    imports("no_such_call"),
		"type.wasm":      imports("commit"), // with a parameter that commit does not have
		"abort.wasm":     aborts("no more"),
		"nomemory.wasm":  noMemory(),
		"keeps.wasm":     keeps("visits"),
	}
}

// increments adds 1 to a gcounter and goes on with code.
func increments(key string, code ...byte) []byte {
	m := new(wasm.Module)
	inc := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{wasm.I32, wasm.I32, wasm.I64}, []wasm.Type{wasm.I32})
	m.Memory(1, "memory")
	body := append(wasm.Poke(0, []byte(key)), wasm.Const32(0)...)
	body = append(body, wasm.Const32(int32(len(key)))...)
	body = append(body, wasm.Const64(1)...)
	body = append(body, wasm.CallFunc(inc)...)
	body = append(body, wasm.TrapUnless32(0)...)
	m.Export("run", m.Func(nil, nil, append(body, code...)...))
	return m.Bytes()
}

// keeps sets a private key and adds 1 to a gcounter, both of that name.
func keeps(key string) []byte {
	m := new(wasm.Module)
	set := m.Import("nx", "db_set", []wasm.Type{wasm.I32, wasm.I32, wasm.I32, wasm.I32}, []wasm.Type{wasm.I32})
	inc := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{wasm.I32, wasm.I32, wasm.I64}, []wasm.Type{wasm.I32})
	m.Memory(1, "memory")
	at := slices.Concat(wasm.Const32(0), wasm.Const32(int32(len(key))))
	m.Export("run", m.Func(nil, nil, slices.Concat(wasm.Poke(0, []byte(key)), at, at, wasm.CallFunc(set), wasm.TrapUnless32(0),
		at, wasm.Const64(1), wasm.CallFunc(inc), wasm.TrapUnless32(0))...))
	return m.Bytes()
}

func imports(name string) []byte {
	m := new(wasm.Module)
	m.Import("nx", name, []wasm.Type{wasm.I64}, []wasm.Type{wasm.I64})
	m.Memory(1, "memory")
	m.Export("run", m.Func(nil, nil))
	return m.Bytes()
}

func aborts(msg string) []byte {
	m := new(wasm.Module)
	abort := m.Import("nx", "abort", []wasm.Type{wasm.I32, wasm.I32}, nil)
	m.Memory(1, "memory")
	body := append(wasm.Poke(0, []byte(msg)), wasm.Const32(0)...)
	body = append(body, wasm.Const32(int32(len(msg)))...)
	body = append(body, wasm.CallFunc(abort)...)
	m.Export("run", m.Func(nil, nil, body...))
	return m.Bytes()
}

// noMemory increments through a memory that it does not export, and traps
// unless that is refused with -3.
func noMemory() []byte {
	m := new(wasm.Module)
	inc := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{wasm.I32, wasm.I32, wasm.I64}, []wasm.Type{wasm.I32})
	m.Memory(1, "")
	body := append(wasm.Const32(0), wasm.Const32(0)...)
	body = append(body, wasm.Const64(1)...)
	body = append(body, wasm.CallFunc(inc)...)
	body = append(body, wasm.TrapUnless32(-3)...)
	m.Export("run", m.Func(nil, nil, body...))
	return m.Bytes()
}
