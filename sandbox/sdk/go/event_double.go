//go:build !wasip1

package nx

import "strings"

// The test double of guests that live on. Nothing happens by itself there: a test says what does, with During. Timers
// and watches are taken and never fire; messages reach nobody; there is no web.

// Answered is what a handler answered.
type Answered struct {
	Reply   []byte // to a message, nil if it did not
	Status  int    // of a web request, 0 if nothing was written
	Headers []Header
	Body    []byte
}

// During is for tests: it calls a handler with an event, as a node would, and returns what it answered. The fields are
// those of the event, as "subject", and may be nil.
func During(event string, fields map[string]string, body []byte, handler func()) Answered {
	c := &happening{fields: map[string]string{"event": event}, body: body}
	for name, value := range fields {
		c.fields[name] = value
	}
	under = c
	defer func() { under = nil }()
	handler()
	return c.Answered
}

// happening is a call under way.
type happening struct {
	fields map[string]string
	body   []byte
	status int // of the answer, until it is sent
	Answered
}

// under is the call under way; a guest is in one at a time.
var under *happening

// serving is the web request under way, unless its head has been sent.
func serving() *happening {
	if under == nil || under.fields["event"] != "on_request" || under.Status != 0 {
		return nil
	}
	return under
}

func eventGet(name string, out []byte) int32 {
	if under == nil {
		return codeNotFound
	}
	value, ok := under.fields[name]
	return found(out, []byte(value), ok)
}

func eventRead(out []byte) int32 {
	if under == nil || under.body == nil {
		return codeNotFound
	}
	n := copy(out, under.body)
	under.body = under.body[n:]
	return int32(n)
}

func datasetUse(name string) int32 {
	if name == "default" {
		return 0
	}
	return codeNotFound
}

func crdtWatch(string) int32   { return 0 }
func crdtUnwatch(string) int32 { return 0 }

var timers = map[uint32]bool{}

func timerSet(id uint32, delayMS, periodMS int64) int32 {
	if delayMS < 0 || periodMS < 0 {
		return codeInvalid
	}
	timers[id] = true
	return 0
}

func timerCancel(id uint32) int32 {
	if !timers[id] {
		return codeNotFound
	}
	delete(timers, id)
	return 0
}

// sent checks a subject and a payload.
func sent(subject string, payload []byte) int32 {
	strange := func(c rune) bool {
		return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-", c)
	}
	if subject == "" || len(subject) > 128 || strings.ContainsFunc(subject, strange) || len(payload) > answerSpace {
		return codeInvalid
	}
	return 0
}

func msgSubscribe(subject string) int32                      { return sent(subject, nil) }
func msgUnsubscribe(subject string) int32                    { return sent(subject, nil) }
func msgPublish(subject string, payload []byte) int32        { return sent(subject, payload) }
func msgSend(_ string, subject string, payload []byte) int32 { return sent(subject, payload) }

func msgRequest(subject string, payload []byte, _ uint32, _ []byte) int32 {
	return min(sent(subject, payload), codeNotFound)
}

func msgReply(payload []byte) int32 {
	if under == nil || under.fields["reply"] == "" || under.Reply != nil || len(payload) > answerSpace {
		return codeInvalid
	}
	under.Reply = append([]byte{}, payload...)
	return 0
}

func httpStatus(code int32) int32 {
	if serving() == nil || code < 200 || code > 599 {
		return codeInvalid
	}
	under.status = int(code)
	return 0
}

func httpHeader(name, value string) int32 {
	if serving() == nil {
		return codeInvalid
	}
	under.Headers = append(under.Headers, Header{name, value})
	return 0
}

func httpWrite(data []byte) int32 {
	if under == nil || under.fields["event"] != "on_request" {
		return codeInvalid
	}
	if under.Status == 0 {
		under.Status = max(under.status, 200)
	}
	under.Body = append(under.Body, data...)
	return 0
}

func fetch(string, string, string, []byte) int32 { return codeDenied }
func fetchHeader(string, []byte) int32           { return codeNotFound }
func fetchRead([]byte) int32                     { return codeNotFound }

// Blobs are named by a BLAKE3 hash, which the double has not; see host_double.go.
func blobWrite([]byte) int32                { return codeDenied }
func blobFinish([]byte) int32               { return codeDenied }
func blobSize([]byte) int32                 { return codeDenied }
func blobRead([]byte, uint64, []byte) int32 { return codeDenied }
func blobDrop([]byte) int32                 { return codeDenied }
