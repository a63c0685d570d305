package bench

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"time"

	"github.com/numax-mesh/numax/node"
	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// Memory of the guests:
//
//	0     key, up to 256 bytes
//	256   rounds left, i32
//	260   ops left in the round, i32
//	264   when the next round is due: ns, i64
//	272   poll_oneoff subscription: relative monotonic clock, 48 bytes
//	336   poll_oneoff event, 32 bytes
//	384   number of events
//	392   state of the random numbers, i64
//	4096  value
const (
	keyAt    = 0
	roundsAt = 256
	opsAt    = 260
	dueAt    = 264
	subAt    = 272
	waitAt   = subAt + 24 // the time to wait, in the subscription
	eventAt  = 336
	countAt  = 384
	randAt   = 392
	valueAt  = 4096
)

// Instructions that the guests need besides those of the builder.
const (
	opLoop     = 0x03
	opIf       = 0x04
	opEnd      = 0x0b
	opBrIf     = 0x0d
	opI32Load  = 0x28
	opI64Load  = 0x29
	opI32Store = 0x36
	opI64Store = 0x37
	opI64GtS   = 0x55
	opI32Sub   = 0x6b
	opI64Add   = 0x7c
	opI64Sub   = 0x7d
	opI64Mul   = 0x7e
	opI64RemU  = 0x82
	opI64ShrU  = 0x88
	noResult   = 0x40
	align4     = 2
	align8     = 3
)

func load32(at int32) []byte { return append(wasm.Const32(at), opI32Load, align4, 0) }
func load64(at int32) []byte { return append(wasm.Const32(at), opI64Load, align8, 0) }

func store32(at int32, value ...[]byte) []byte {
	return slices.Concat(wasm.Const32(at), slices.Concat(value...), []byte{opI32Store, align4, 0})
}

func store64(at int32, value ...[]byte) []byte {
	return slices.Concat(wasm.Const32(at), slices.Concat(value...), []byte{opI64Store, align8, 0})
}

// repeat does body n times; it counts down at an address.
func repeat(countAt int32, n int, body ...[]byte) []byte {
	return slices.Concat(
		store32(countAt, wasm.Const32(int32(n))),
		[]byte{opLoop, noResult}, slices.Concat(body...),
		store32(countAt, load32(countAt), wasm.Const32(1), []byte{opI32Sub}),
		load32(countAt), []byte{opBrIf, 0, opEnd})
}

// pace is how a guest's rounds follow each other: at once, or one every so
// often by the clock, so that a round that comes late does not delay the next.
type pace struct {
	rounds, perRound int
	every            time.Duration // 0 = at once
}

// roundsPerSecond bounds how often a paced guest sleeps.
const roundsPerSecond = 100

// paced is rate ops a second for a time, in even rounds.
func paced(rate int, d time.Duration) pace {
	perRound := max(1, rate/roundsPerSecond)
	rounds := max(1, int(d.Seconds()*float64(rate))/perRound)
	return pace{rounds, perRound, time.Duration(float64(perRound) / float64(rate) * float64(time.Second))}
}

func (p pace) ops() int { return p.rounds * p.perRound }

// guest builds a module whose run does op at p's pace, then after ends the
// round.
func guest(m *wasm.Module, p pace, begin, op, after []byte) []byte {
	clock := m.Import("nx", "time_monotonic", nil, []wasm.Type{wasm.I64}) // milliseconds
	i32 := wasm.I32
	poll := m.Import("wasi_snapshot_preview1", "poll_oneoff", []wasm.Type{i32, i32, i32, i32}, []wasm.Type{i32})
	now := slices.Concat(wasm.CallFunc(clock), wasm.Const64(int64(time.Millisecond)), []byte{opI64Mul})
	var wait []byte
	if p.every > 0 {
		sub := make([]byte, 24)
		binary.LittleEndian.PutUint32(sub[16:], 1) // monotonic
		begin = slices.Concat(begin, wasm.Poke(subAt, sub), store64(dueAt, now))
		wait = slices.Concat(
			store64(dueAt, load64(dueAt), wasm.Const64(int64(p.every)), []byte{opI64Add}),
			store64(waitAt, load64(dueAt), now, []byte{opI64Sub}),
			load64(waitAt), wasm.Const64(0), []byte{opI64GtS, opIf, noResult},
			wasm.Const32(subAt), wasm.Const32(eventAt), wasm.Const32(1), wasm.Const32(countAt),
			wasm.CallFunc(poll), wasm.TrapUnless32(0), []byte{opEnd})
	}
	return slices.Concat(begin, repeat(roundsAt, p.rounds, repeat(opsAt, p.perRound, op), after, wait))
}

// incrementer is a guest that adds 1 to a counter at a pace and then commits.
func incrementer(key string, p pace) []byte {
	m := new(wasm.Module)
	i32 := wasm.I32
	inc := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{i32, i32, wasm.I64}, []wasm.Type{i32})
	commit := m.Import("nx", "commit", nil, []wasm.Type{i32})
	code := guest(m, p, wasm.Poke(keyAt, []byte(key)), slices.Concat(
		wasm.Const32(keyAt), wasm.Const32(int32(len(key))), wasm.Const64(1), wasm.CallFunc(inc), wasm.TrapUnless32(0)), nil)
	m.Memory(1, "memory")
	m.Export("run", m.Func(nil, nil, slices.Concat(code, wasm.CallFunc(commit), wasm.TrapUnless32(0))...))
	return m.Bytes()
}

// Of the linear congruential generator that chooses keys (Knuth's MMIX).
const (
	randMul = 6364136223846793005
	randAdd = 1442695040888963407
)

// storer is a guest that writes random values under random keys of a key space
// and commits after each round.
func storer(p pace, valueSize, keySpace int) []byte {
	m := new(wasm.Module)
	i32 := wasm.I32
	set := m.Import("nx", "db_set", []wasm.Type{i32, i32, i32, i32}, []wasm.Type{i32})
	random := m.Import("nx", "random_bytes", []wasm.Type{i32, i32}, []wasm.Type{i32})
	commit := m.Import("nx", "commit", nil, []wasm.Type{i32})
	op := slices.Concat(
		wasm.Const32(valueAt), wasm.Const32(int32(valueSize)), wasm.CallFunc(random), wasm.TrapUnless32(int32(valueSize)),
		store64(randAt, load64(randAt), wasm.Const64(randMul), []byte{opI64Mul}, wasm.Const64(randAdd), []byte{opI64Add}),
		store64(keyAt, load64(randAt), wasm.Const64(33), []byte{opI64ShrU}, wasm.Const64(int64(keySpace)), []byte{opI64RemU}),
		wasm.Const32(keyAt), wasm.Const32(8), wasm.Const32(valueAt), wasm.Const32(int32(valueSize)),
		wasm.CallFunc(set), wasm.TrapUnless32(0))
	code := guest(m, p, nil, op, slices.Concat(wasm.CallFunc(commit), wasm.TrapUnless32(0)))
	m.Memory(uint32(valueAt+valueSize)/65536+1, "memory")
	m.Export("run", m.Func(nil, nil, code...))
	return m.Bytes()
}

// timed is how long each host call of a guest took, by name.
type timed map[string][]time.Duration

// runGuest runs a guest to its end.
func runGuest(ctx context.Context, n *node.Node, code []byte) (timed, error) {
	calls := make(timed)
	err := n.RunModule(ctx, code, node.Guest{
		File: "bench", Stdout: io.Discard, Stderr: io.Discard,
		Observe: func(call string, took time.Duration) { calls[call] = append(calls[call], took) },
	})
	return calls, err
}
