package nx

import "errors"

// What a host function may say no with.
var (
	ErrInvalid  = errors.New("nx: invalid argument, or the host failed")
	ErrReserved = errors.New("nx: keys under __nx/ are reserved")
	ErrSyncOff  = errors.New("nx: sync is off")
	ErrDenied   = errors.New("nx: denied by policy")
	ErrQuota    = errors.New("nx: quota exceeded")
	ErrBusy     = errors.New("nx: the host is busy, try again")
	ErrTooLarge = errors.New("nx: the answer is larger than 1 MiB")
)

const (
	codeNotFound = -1
	codeTooSmall = -2
	codeInvalid  = -3
	codeReserved = -4
	codeSyncOff  = -5
	codeDenied   = -6
	codeQuota    = -7
	codeBusy     = -8
)

func check(code int32) error {
	switch {
	case code >= 0:
		return nil
	case code == codeTooSmall:
		return ErrTooLarge
	case code == codeReserved:
		return ErrReserved
	case code == codeSyncOff:
		return ErrSyncOff
	case code == codeDenied:
		return ErrDenied
	case code == codeQuota:
		return ErrQuota
	case code == codeBusy:
		return ErrBusy
	}
	return ErrInvalid
}

func yes(code int32) (bool, error) { return code == 1, check(code) }

// Output buffers start small and grow to the most a guest may offer.
const (
	firstBuffer = 1 << 10
	maxBuffer   = 1 << 20
)

// pull calls with larger and larger buffers until the answer fits. ok is false when there is none.
func pull(call func(out []byte) int32) (answer []byte, ok bool, err error) {
	for size := firstBuffer; ; size *= 4 {
		buf := make([]byte, min(size, maxBuffer))
		n := call(buf)
		switch {
		case n == codeNotFound:
			return nil, false, nil
		case n == codeTooSmall && size < maxBuffer:
			continue
		case n < 0:
			return nil, false, check(n)
		}
		return buf[:n:n], true, nil
	}
}
