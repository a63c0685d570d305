package nx

import (
	"fmt"
	"strings"
	"time"
)

// Log writes a line to the node's log, as "[guest] …". A line over 8 KiB is dropped, with ErrInvalid.
func Log(line string) error { return check(hostLog(line)) }

// Logf formats and logs a line.
func Logf(format string, args ...any) error { return Log(fmt.Sprintf(format, args...)) }

// Abort ends the run with an error that shows msg (8 KiB at most). What was written stays.
func Abort(msg string) {
	hostAbort(msg)
	panic("nx: abort returned")
}

// Env reads a variable of the node's environment. Only names NX_… and NUMAX_… are ever set.
func Env(name string) (value string, ok bool) {
	b, ok, err := pull(func(out []byte) int32 { return envGet(name, out) })
	return string(b), ok && err == nil
}

// ModuleID is the path the module was started from, as typed.
func ModuleID() (string, error) { return text(moduleID) }

// Capabilities lists the functions the host has, sorted.
func Capabilities() ([]string, error) {
	s, err := text(hostCapabilities)
	return strings.Split(s, "\n"), err
}

// Emit reports an event: a name of 1 to 128 letters, digits and "_.:-", and a payload of at most 64 KiB.
func Emit(name string, payload []byte) error { return check(eventEmit(name, payload)) }

// Now is the node's clock, to the millisecond.
func Now() time.Time { return time.UnixMilli(timeNow()) }

// Monotonic is a clock that never jumps: the time since it was first asked in this node's life.
func Monotonic() time.Duration { return time.Duration(timeMonotonic()) * time.Millisecond }

// Random fills b, of at most 1 MiB, with random bytes.
func Random(b []byte) error { return check(randomBytes(b)) }

// SHA256 hashes up to 1 MiB on the host.
func SHA256(data []byte) (sum [32]byte, err error) {
	err = check(hashSHA256(data, sum[:]))
	return sum, err
}

// BLAKE3 hashes up to 1 MiB on the host.
func BLAKE3(data []byte) (sum [32]byte, err error) {
	err = check(hashBLAKE3(data, sum[:]))
	return sum, err
}

// NodeID is the node's name in the network; ErrSyncOff when it has none.
func NodeID() (string, error) { return text(netNodeID) }

// Peer is a connected node.
type Peer struct{ Addr, ID string }

// Peers lists the connected nodes by address; ErrSyncOff when there is no network.
func Peers() ([]Peer, error) {
	data, _, err := pull(netPeers)
	var list []Peer
	each(data, func(r *rows) {
		addr, id := r.u32(), r.u32()
		list = append(list, Peer{string(r.take(addr)), string(r.take(id))})
	})
	return list, err
}

func text(call func(out []byte) int32) (string, error) {
	b, _, err := pull(call)
	return string(b), err
}
