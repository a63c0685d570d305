package sandboxtest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Service is a sandbox.Service, Messages and Fetcher that notes what it is asked for.
type Service struct {
	*Node
	Err   error  // what every call answers
	Reply []byte // what Request and Fetch answer; nil = not found
	Asked []string
}

func (s *Service) ask(format string, args ...any) error {
	if s.Err == nil {
		s.Asked = append(s.Asked, fmt.Sprintf(format, args...))
	}
	return s.Err
}

// UseDataset knows "default" and "other", which are the same.
func (s *Service) UseDataset(name string) (sandbox.CRDT, error) {
	if name != "default" && name != "other" {
		return nil, sandbox.ErrNotFound
	}
	return (*memCRDT)(s.Node), s.ask("use %s", name)
}

func (s *Service) Watch(prefix string) error   { return s.ask("watch %s", prefix) }
func (s *Service) Unwatch(prefix string) error { return s.ask("unwatch %s", prefix) }

func (s *Service) SetTimer(id uint32, delay, period time.Duration) error {
	return s.ask("timer %d %v %v", id, delay, period)
}

// CancelTimer knows timer 1.
func (s *Service) CancelTimer(id uint32) bool { return id == 1 }

func (s *Service) Subscribe(subject string) error   { return s.ask("subscribe %s", subject) }
func (s *Service) Unsubscribe(subject string) error { return s.ask("unsubscribe %s", subject) }

func (s *Service) Publish(_ context.Context, subject string, payload []byte) error {
	return s.ask("publish %s %s", subject, payload)
}

func (s *Service) Send(_ context.Context, node, subject string, payload []byte) error {
	return s.ask("send %s %s %s", node, subject, payload)
}

func (s *Service) Request(ctx context.Context, subject string, payload []byte) ([]byte, error) {
	if s.Reply == nil {
		<-ctx.Done()
		return nil, sandbox.ErrNotFound
	}
	return s.Reply, s.ask("request %s %s", subject, payload)
}

func (s *Service) Fetch(_ context.Context, method, url string, headers [][2]string, body []byte) (sandbox.Fetched, error) {
	return fetched{io.NopCloser(strings.NewReader(string(s.Reply)))}, s.ask("%s %s %v %s", method, url, headers, body)
}

type fetched struct{ io.ReadCloser }

func (fetched) Status() int { return 201 }

// Header knows Kind.
func (fetched) Header(name string) string {
	if name == "Kind" {
		return "test"
	}
	return ""
}
