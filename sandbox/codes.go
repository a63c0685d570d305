package sandbox

import "errors"

// code is what an nx function answers: zero, a length or a boolean when it worked, below zero when it did not.
type code int32

const (
	codeOK       code = 0
	codeNotFound code = -1
	codeTooSmall code = -2 // output buffer too small; nothing was written, nothing happened
	codeInvalid  code = -3 // invalid argument, or the host failed
	codeReserved code = -4 // key under reservedPrefix
	codeSyncOff  code = -5
	codeDenied   code = -6
	codeQuota    code = -7
	codeBusy     code = -8 // only from functions the original ABI does not have
)

// Errors by which a host tells a guest why not. Any other error is -3: the guest learns that the host failed, not how.
var (
	ErrSyncDisabled = errors.New("sandbox: sync is disabled") // -5
	ErrBusy         = errors.New("sandbox: queue is full")    // -3 from the original calls, -8 from ours
	ErrDenied       = errors.New("sandbox: denied by policy") // -6
	ErrQuota        = errors.New("sandbox: quota exceeded")   // -7
)

// codeOf is the answer of the 41 original functions to err. Guests built for the original runtime know no "busy",
// so a full queue is -3 there.
func codeOf(err error) code {
	switch {
	case err == nil:
		return codeOK
	case errors.Is(err, ErrSyncDisabled):
		return codeSyncOff
	case errors.Is(err, ErrNotFound):
		return codeNotFound
	case errors.Is(err, ErrDenied):
		return codeDenied
	case errors.Is(err, ErrQuota):
		return codeQuota
	}
	return codeInvalid
}

// codeOfOurs is the answer of the functions this host adds.
func codeOfOurs(err error) code {
	if errors.Is(err, ErrBusy) {
		return codeBusy
	}
	return codeOf(err)
}

func boolCode(yes bool) code {
	if yes {
		return 1
	}
	return 0
}

// Limits of the ABI. What is over a limit is answered -3; nothing is ever cut short.
const (
	maxKey          = 8 << 10 // keys, fields, elements, RGA ids, scan cursors
	maxValue        = 1 << 20 // values, hash input, random bytes
	maxOutput       = 1 << 20 // capacity a guest may offer
	maxScanRows     = 1024
	maxEnvName      = 128
	maxEventName    = 128
	maxEventPayload = 64 << 10 // and of a message
	maxEventField   = 8 << 10  // name of a field
	maxFetchHeaders = 64 << 10

	maxTimer   = 366 * 24 * 3600 * 1000 // ms
	minPeriod  = 10                     // ms
	maxLogLine = 8 << 10                // and abort messages

	counterSize = 8  // a counter value: 8 bytes, little-endian
	hashSize    = 32 // SHA-256 and BLAKE3, and what names a blob
	rgaIDSpace  = 36 // what a guest must offer for an RGA id, whatever its real length
)

// Limits of a guest. Past them it does not start, does not grow, or is cut off, as said.
const (
	maxModuleSize      = 64 << 20  // bytes of a module; a larger one is refused
	maxImports         = 4096      // a module with more is refused
	maxGuestStderr     = 64 << 10  // a run's stderr; the rest is dropped with a note (a Go guest that traps dumps goroutines)
	defaultMemory      = 256 << 20 // linear memory; memory.grow beyond it answers -1
	wasmPageSize       = 64 << 10
	maxWasmMemory      = 4 << 30
	scanCheckEveryRows = 1024 // how often a long db_scan looks whether its run has ended
)

// reservedPrefix starts the keys no guest may name.
const reservedPrefix = "__nx/"
