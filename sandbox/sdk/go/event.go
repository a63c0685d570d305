package nx

import (
	"io"
	"strconv"
	"time"
)

// A guest that exports on_change, on_remote_op, on_tick, on_message, on_request, on_peer_connected or
// on_peer_disconnected lives on and is called, one call at a time. init comes before all of them, shutdown at an
// orderly end. After a call that failed a guest begins anew, without what it had in memory.

// Field reads a field of the call under way; ok is false if it has no such field.
func Field(name string) (value string, ok bool) {
	b, ok, err := pull(func(out []byte) int32 { return eventGet(name, out) })
	return string(b), ok && err == nil
}

func known(name string) string {
	v, _ := Field(name)
	return v
}

// Body reads the body of the message or web request of the call under way, once.
var Body io.Reader = pieces(eventRead)

// pieces is a body that comes piece by piece.
type pieces func(out []byte) int32

func (read pieces) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	switch n := read(p[:min(len(p), maxBuffer)]); {
	case n > 0:
		return int(n), nil
	case n == 0 || n == codeNotFound:
		return 0, io.EOF
	default:
		return 0, check(n)
	}
}

// Change is what on_change and on_remote_op are about. After the last change of an object there is a call, however many
// there were before it: so read the object, and do not count calls. A guest hears of its own changes too.
type Change struct {
	Dataset string
	Family  string // gcounter, pncounter, lww-register, lww-map, orset or rga
	Key     string
}

// CurrentChange is the change of the call under way.
func CurrentChange() Change { return Change{known("dataset"), known("family"), known("key")} }

// CurrentPeer is the node that on_peer_connected and on_peer_disconnected are about.
func CurrentPeer() Peer { return Peer{Addr: known("addr"), ID: known("peer")} }

// CurrentTimer is the id of the timer that on_tick is about.
func CurrentTimer() uint32 {
	id, _ := strconv.ParseUint(known("timer"), 10, 32)
	return uint32(id)
}

// SetTimer calls on_tick after delay and then, unless period is 0, every period; in place of an earlier timer of that id.
func SetTimer(id uint32, delay, period time.Duration) error {
	return check(timerSet(id, delay.Milliseconds(), period.Milliseconds()))
}

// CancelTimer ends a timer; ok is false if there is none of that id.
func CancelTimer(id uint32) (ok bool, err error) { return there(timerCancel(id)) }

// UseDataset chooses the dataset that replicated values are of from now on; ok is false if the node does not have it.
func UseDataset(name string) (ok bool, err error) { return there(datasetUse(name)) }

// Watch asks for on_change and on_remote_op of objects of the dataset in use whose key starts with prefix. A guest that
// watches nothing when init returns watches all of its first dataset.
func Watch(prefix string) error { return check(crdtWatch(prefix)) }

// Unwatch takes a Watch back.
func Unwatch(prefix string) error { return check(crdtUnwatch(prefix)) }

// there is done, or the thing meant is not there.
func there(code int32) (bool, error) {
	if code == codeNotFound {
		return false, nil
	}
	return code >= 0, check(code)
}
