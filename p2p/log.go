package p2p

import (
	"context"
	"log/slog"

	"github.com/libp2p/go-libp2p/gologshim"
)

// RouteLibraryLogs sends what libp2p logs to log, at debug level: what of it
// matters to a user comes back as an error. It is for the process, and has to
// be called before the first host is made.
func RouteLibraryLogs(log *slog.Logger) { gologshim.SetDefaultHandler(demoted{log.Handler()}) }

type demoted struct{ to slog.Handler }

func (d demoted) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.to.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.to.Handle(ctx, r)
}

func (d demoted) WithAttrs(a []slog.Attr) slog.Handler { return demoted{d.to.WithAttrs(a)} }
func (d demoted) WithGroup(name string) slog.Handler   { return demoted{d.to.WithGroup(name)} }
