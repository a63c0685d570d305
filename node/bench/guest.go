package bench

import (
	"encoding/binary"
	"slices"
	"time"

	wasm "github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// Memory of the guest:
//
//	0    key
//	256  rounds left, i32
//	272  poll_oneoff subscription: relative monotonic clock, 48 bytes
//	336  poll_oneoff event, 32 bytes
//	384  number of events
const (
	keyAt   = 0
	leftAt  = 256
	subAt   = 272
	eventAt = 336
	countAt = 384
)

// Instructions that the guest needs besides those of the builder.
const (
	opLoop     = 0x03
	opBrIf     = 0x0d
	opEnd      = 0x0b
	opI32Load  = 0x28
	opI32Store = 0x36
	opI32Sub   = 0x6b
	noResult   = 0x40
)

// incrementer is a guest that adds 1 to a counter rounds × perRound times and
// then commits. After each round it sleeps for pause, if that is not 0.
func incrementer(key string, rounds, perRound int, pause time.Duration) []byte {
	m := new(wasm.Module)
	i32, i64 := wasm.I32, wasm.I64
	inc := m.Import("nx", "crdt_gcounter_inc", []wasm.Type{i32, i32, i64}, []wasm.Type{i32})
	commit := m.Import("nx", "commit", nil, []wasm.Type{i32})
	poll := m.Import("wasi_snapshot_preview1", "poll_oneoff", []wasm.Type{i32, i32, i32, i32}, []wasm.Type{i32})

	sub := make([]byte, 48)
	binary.LittleEndian.PutUint32(sub[16:], 1) // monotonic
	binary.LittleEndian.PutUint64(sub[24:], uint64(pause))

	once := slices.Concat(wasm.Const32(keyAt), wasm.Const32(int32(len(key))), wasm.Const64(1),
		wasm.CallFunc(inc), wasm.TrapUnless32(0))
	round := slices.Repeat(once, perRound)
	if pause > 0 {
		round = slices.Concat(round, wasm.Const32(subAt), wasm.Const32(eventAt), wasm.Const32(1), wasm.Const32(countAt),
			wasm.CallFunc(poll), wasm.TrapUnless32(0))
	}
	load := slices.Concat(wasm.Const32(leftAt), []byte{opI32Load, 2, 0})
	left := make([]byte, 4)
	binary.LittleEndian.PutUint32(left, uint32(rounds))
	code := slices.Concat(
		wasm.Poke(keyAt, []byte(key)), wasm.Poke(leftAt, left), wasm.Poke(subAt, sub),
		[]byte{opLoop, noResult}, round,
		wasm.Const32(leftAt), load, wasm.Const32(1), []byte{opI32Sub, opI32Store, 2, 0},
		load, []byte{opBrIf, 0, opEnd},
		wasm.CallFunc(commit), wasm.TrapUnless32(0),
	)
	m.Memory(1, "memory")
	m.Export("run", m.Func(nil, nil, code...))
	return m.Bytes()
}
