package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

type connKey struct{}

// Serve answers the requests that come to l, until ctx ends; then requests under way have a second. Requests end with
// ctx, long ones too. It closes l.
func Serve(ctx context.Context, l net.Listener, limits Limits, h http.Handler, log *slog.Logger) error {
	d := newDoor(l, limits)
	srv := &http.Server{
		Handler: marked(h), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaders,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		// What clients do wrong is for them to know.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close()
		}
	})
	defer stop()
	defer d.tellers.Wait()
	if err := srv.Serve(d); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// marked marks a connection as busy while h answers. What h leaves unread of a request is waited for, for a moment.
func marked(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(*conn)
		if !ok {
			h.ServeHTTP(w, r)
			return
		}
		c.busy()
		_ = c.SetWriteDeadline(time.Time{}) // of the request before
		defer func() {
			_ = c.Conn.SetReadDeadline(time.Now().Add(leftTime))
			c.waiting()
		}()
		h.ServeHTTP(w, r)
	})
}
