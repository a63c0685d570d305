// Command numax-node runs WebAssembly modules in a sandbox and keeps their
// state in step with every other node of its network.
//
// This package parses flags and files, prints, and chooses exit codes; what a
// node does is in package node.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/numax-mesh/numax/node/api"
)

// version is set by the linker.
var version = "dev"

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	// quic-go prints this advice on every start, past any logger.
	_ = os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true")
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	cmd := newRoot()
	cmd.SetArgs(args)
	err := cmd.Execute()
	if err == nil {
		return 0
	}
	_ = say(stderr, "numax-node: %s\n", oneLine(err.Error()))
	var usage usageError
	if errors.As(err, &usage) || errors.Is(err, api.ErrUsage) || strings.HasPrefix(err.Error(), "unknown command") {
		return exitUsage
	}
	return exitFailure
}

// usageError marks what the caller got wrong on the command line.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func oneLine(s string) string {
	s = strings.TrimPrefix(s, "usage: ")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
