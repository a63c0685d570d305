package nx

import "strings"

// Request is what on_request is about. Body reads its body.
type Request struct {
	Method string
	Path   string // from "/"
	Query  string // what follows "?", as it came
	Host   string
	Remote string // who asks
}

// CurrentRequest is the web request of the call under way.
func CurrentRequest() Request {
	return Request{known("method"), known("path"), known("query"), known("host"), known("remote")}
}

// Header is a header of the request of the call under way, or "".
func (Request) Header(name string) string { return known("header." + strings.ToLower(name)) }

// Response is the answer to the web request of the call under way. It is an io.Writer.
type Response struct{}

// SetStatus sets the status, before the first Write; 200 otherwise.
func (Response) SetStatus(code int) error { return check(httpStatus(int32(code))) }

// SetHeader sets a header, before the first Write.
func (Response) SetHeader(name, value string) error { return check(httpHeader(name, value)) }

// Write writes the next of the body. The first Write sends status and headers.
func (Response) Write(p []byte) (int, error) {
	for n := 0; ; {
		part := p[n:min(len(p), n+maxBuffer)]
		if err := check(httpWrite(part)); err != nil {
			return n, err
		}
		if n += len(part); n == len(p) {
			return n, nil
		}
	}
}

// Header is a header of a web request that a guest makes.
type Header struct{ Name, Value string }

// Fetched is the answer to a Fetch, until the next one or the end of the call. It is an io.Reader of the body.
type Fetched struct{ Status int }

// Fetch makes a web request and waits for the head of its answer.
func Fetch(method, url string, headers []Header, body []byte) (*Fetched, error) {
	var lines strings.Builder
	for _, h := range headers {
		lines.WriteString(h.Name + ": " + h.Value + "\n")
	}
	status := fetch(method, url, lines.String(), body)
	if err := check(status); err != nil {
		return nil, err
	}
	return &Fetched{int(status)}, nil
}

// Header is a header of the answer, or "".
func (*Fetched) Header(name string) string {
	b, _, _ := pull(func(out []byte) int32 { return fetchHeader(name, out) })
	return string(b)
}

// Read reads on in the body.
func (*Fetched) Read(p []byte) (int, error) { return pieces(fetchRead).Read(p) }
