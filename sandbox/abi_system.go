package sandbox

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tetratelabs/wazero/api"
	"github.com/zeebo/blake3"
)

// Log, system, time, randomness, hashes.

func hostLog(c call, arg args) code {
	b, bad := c.read(arg.u32(0), arg.u32(1), maxLogLine)
	if bad != codeOK {
		return bad
	}
	c.host.Log("[guest] " + lossy(b))
	return codeOK
}

// envGet shows the variables meant for guests, and no others: PATH does not exist here.
func envGet(c call, arg args) code {
	b, bad := c.read(arg.u32(0), arg.u32(1), maxEnvName)
	if bad != codeOK {
		return bad
	}
	if !utf8.Valid(b) {
		return codeInvalid
	}
	name := string(b)
	if !envVisible(name) {
		return codeNotFound
	}
	value, err := c.host.Env(name)
	if err != nil {
		return codeOf(err)
	}
	if bad := capacity(arg.u32(3)); bad != codeOK || !utf8.ValidString(value) {
		return codeInvalid
	}
	return c.write(arg.u32(2), arg.u32(3), []byte(value))
}

func envVisible(name string) bool {
	if !strings.HasPrefix(name, "NX_") && !strings.HasPrefix(name, "NUMAX_") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

func moduleID(c call, arg args) code         { return c.answer(arg, []byte(c.module)) }
func hostCapabilities(c call, arg args) code { return c.answer(arg, capabilities) }

// answer is for functions whose only parameters are where the answer goes.
func (c call) answer(arg args, data []byte) code {
	if bad := capacity(arg.u32(1)); bad != codeOK {
		return bad
	}
	return c.write(arg.u32(0), arg.u32(1), data)
}

func eventEmit(c call, arg args) code {
	name, bad := c.read(arg.u32(0), arg.u32(1), maxEventName)
	if bad != codeOK {
		return bad
	}
	if !eventNameValid(name) {
		return codeInvalid
	}
	payload, bad := c.read(arg.u32(2), arg.u32(3), maxEventPayload)
	if bad != codeOK {
		return bad
	}
	c.host.Emit(string(name), bytes.Clone(payload))
	return codeOK
}

func eventNameValid(name []byte) bool {
	for _, b := range name {
		letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
		if !letter && (b < '0' || b > '9') && !strings.ContainsRune("_.:-", rune(b)) {
			return false
		}
	}
	return len(name) > 0
}

// abort ends the run with the guest's own words. wazero turns the panic into the error of the call.
func abort(c call, arg args) code {
	msg := "failed to read abort message"
	if b, bad := c.read(arg.u32(0), arg.u32(1), maxLogLine); bad == codeOK {
		msg = lossy(b)
	}
	panic(&AbortError{Msg: msg})
}

// timeNow is Unix milliseconds; a clock before 1970 reads 0.
func timeNow(g *guest) uint64 {
	if g.host.WithholdTime {
		return api.EncodeI64(int64(codeDenied))
	}
	return uint64(max(0, g.host.Now().UnixMilli()))
}

var monotonicStart = sync.OnceValue(time.Now)

// timeMonotonic is milliseconds since it was first asked for in this process.
func timeMonotonic(*guest) uint64 { return uint64(time.Since(monotonicStart()).Milliseconds()) }

func randomBytes(c call, arg args) code {
	out, bad := c.read(arg.u32(0), arg.u32(1), maxOutput)
	if bad != codeOK {
		return bad
	}
	if c.host.WithholdRandom {
		return codeDenied
	}
	if _, err := io.ReadFull(c.host.Rand, out); err != nil {
		return codeInvalid
	}
	return code(len(out))
}

func hash(sum func([]byte) [hashSize]byte) func(c call, arg args) code {
	return func(c call, arg args) code {
		if arg.u32(3) < hashSize {
			return codeTooSmall
		}
		if bad := capacity(arg.u32(3)); bad != codeOK {
			return bad
		}
		in, bad := c.read(arg.u32(0), arg.u32(1), maxValue)
		if bad != codeOK {
			return bad
		}
		digest := sum(in)
		return c.write(arg.u32(2), arg.u32(3), digest[:])
	}
}

func sha256Sum(b []byte) [hashSize]byte { return sha256.Sum256(b) }
func blake3Sum(b []byte) [hashSize]byte { return blake3.Sum256(b) }

// commit is ours, so a full queue is "busy".
func commit(g *guest, _ args) code {
	if g.host.CRDT == nil {
		return codeSyncOff
	}
	return g.waitFor(func() error { return g.host.CRDT.Commit(g.ctx) })
}
