package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"
)

// TrapError says that the guest broke a rule of WebAssembly (or a host function did on its behalf).
type TrapError struct {
	Cause string // one line: "unreachable", "out of bounds memory access", "stack overflow", …
	Trace string // the guest's stack, one frame a line; may be empty
	err   error
}

func (e *TrapError) Error() string { return "guest trap: " + e.Cause }
func (e *TrapError) Unwrap() error { return e.err }

// AbortError says that the guest called nx.abort.
type AbortError struct{ Msg string }

func (e *AbortError) Error() string { return "guest abort: " + e.Msg }

// ExitError says that the guest called proc_exit with a code other than 0.
type ExitError struct{ Code uint32 }

func (e *ExitError) Error() string { return fmt.Sprintf("guest exited with code %d", e.Code) }

// DeadlineError says that the guest ran longer than Call.Deadline.
type DeadlineError struct{ Limit time.Duration }

func (e *DeadlineError) Error() string {
	return fmt.Sprintf("guest ran longer than its deadline of %v", e.Limit)
}

func (e *DeadlineError) Is(target error) bool { return target == context.DeadlineExceeded }

// BudgetError says that the guest used more than Call.Budget.
type BudgetError struct{ Limit uint64 }

func (e *BudgetError) Error() string {
	return fmt.Sprintf("guest used more than its CPU budget of %d units", e.Limit)
}

// outcome turns what wazero says of a call into what Run says. parent is the caller's context, run the one with the
// deadline.
func outcome(parent, run context.Context, limit time.Duration, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errStopped) {
		switch {
		case parent.Err() != nil:
			return parent.Err()
		case run.Err() != nil:
			return &DeadlineError{Limit: limit}
		}
		return errors.New("the sandbox was closed")
	}
	var budget *BudgetError
	if errors.As(err, &budget) {
		return budget
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() == 0 {
			return nil
		}
		return &ExitError{Code: exit.ExitCode()}
	}
	var abort *AbortError
	if errors.As(err, &abort) {
		return abort
	}
	cause, trace, _ := strings.Cut(err.Error(), "\nwasm stack trace:\n")
	cause = strings.TrimPrefix(cause, "wasm error: ")
	cause = strings.TrimSuffix(cause, " (recovered by wazero)")
	if i := strings.IndexByte(cause, '\n'); i >= 0 {
		cause = cause[:i]
	}
	return &TrapError{Cause: cause, Trace: strings.ReplaceAll(trace, "\t", ""), err: err}
}
