package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// All that this command prints goes through this file. What a guest, a peer or a file says is shown and never
// obeyed: a terminal takes control characters as commands, a line break begins a line that looks like ours, and bidi
// marks show text in another order than it has.
//
//	say(stdout, "peer %s\n", name)   the arguments are made printable, line breaks too; the format is ours
//	stdout, stderr                   what comes past say: all but line breaks and tabs is made printable
//	printJSON                        escapes as JSON has them, so that it stays JSON
var (
	stdout = &printer{w: os.Stdout}
	stderr = &printer{w: os.Stderr}

	jsonOut = jsonPrinter{os.Stdout}
	jsonErr = jsonPrinter{os.Stderr}
)

// onTerminal and errOnTerminal report whether a person is likely to look at standard output, and standard error.
func onTerminal() bool    { return atTerminal(os.Stdout) }
func errOnTerminal() bool { return atTerminal(os.Stderr) }

// text is what was made printable before, or is ours: say leaves it as it is.
type text string

// say prints a format of ours, with arguments of anybody.
func say(w io.Writer, format string, args ...any) error {
	safe := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case text:
			safe[i] = string(a)
		case string:
			safe[i] = printable(a)
		case []byte:
			safe[i] = printable(string(a))
		case error:
			safe[i] = printable(a.Error())
		case fmt.Stringer:
			safe[i] = printable(a.String())
		case int, int64, uint64, float64, bool:
			safe[i] = a
		default:
			safe[i] = printable(fmt.Sprint(a))
		}
	}
	_, err := fmt.Fprintf(w, format, safe...)
	return err
}

// printable shows what is no text as \xNN, \uNNNN or \UNNNNNNNN.
func printable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "\\x%02x", s[i])
		case isShown(r):
			b.WriteString(s[i : i+n])
		case r < 0x100:
			fmt.Fprintf(&b, "\\x%02x", r)
		case r < 0x10000:
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			fmt.Fprintf(&b, "\\U%08x", r)
		}
		i += n
	}
	return b.String()
}

// isShown reports whether a terminal shows a character, and does nothing else. The two joiners belong to words and emoji.
func isShown(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Zs) || r == '\u200c' || r == '\u200d'
}

// printer makes what is written printable, but for line breaks and tabs. A line break may come as \r\n. Characters may
// come in pieces. It is safe for concurrent use.
type printer struct {
	w io.Writer

	mu   sync.Mutex // guards rest
	rest []byte     // of a character, or a \r that \n may follow
}

func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := string(append(p.rest, b...))
	cut := len(all)
	for back := 1; back < utf8.UTFMax && back <= len(all); back++ {
		if c := all[len(all)-back]; utf8.RuneStart(c) {
			if !utf8.FullRuneInString(all[len(all)-back:]) || c == '\r' && back == 1 {
				cut = len(all) - back
			}
			break
		}
	}
	p.rest = []byte(all[cut:])
	var out strings.Builder
	for part := range strings.SplitAfterSeq(all[:cut], "\n") {
		line, ended := strings.CutSuffix(part, "\n")
		if ended {
			line = strings.TrimSuffix(line, "\r")
		}
		for i, cell := range strings.Split(line, "\t") {
			if i > 0 {
				out.WriteByte('\t')
			}
			out.WriteString(printable(cell))
		}
		if ended {
			out.WriteByte('\n')
		}
	}
	if _, err := io.WriteString(p.w, out.String()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// jsonPrinter is for lines of JSON: what encoding/json leaves as it is, and a terminal does not, is escaped.
type jsonPrinter struct{ w io.Writer }

func (p jsonPrinter) Write(b []byte) (int, error) {
	if _, err := p.w.Write(safeJSON(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// safeJSON escapes what is not shown, which is in strings alone.
func safeJSON(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case isShown(r) || r == '\n' || r == '\t' || r == utf8.RuneError:
			out = append(out, b[i:i+n]...)
		case r < 0x10000:
			out = fmt.Appendf(out, "\\u%04x", r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, "\\u%04x\\u%04x", high, low)
		}
		i += n
	}
	return out
}

func printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = jsonOut.Write(append(b, '\n'))
	return err
}

// guestLog prints what a guest logs: each line says that it is the guest's, so that none looks like the node's.
func guestLog(line string) {
	for l := range strings.Lines(strings.TrimPrefix(line, guestMark)) {
		_ = say(stderr, "%s%s\n", text(guestMark), strings.TrimRight(l, "\r\n"))
	}
}

const guestMark = "[guest] "

// marked writes what a guest prints on standard error, with its mark before each line.
type marked struct {
	w      io.Writer
	within bool // of a line
}

func (m *marked) Write(p []byte) (int, error) {
	var out strings.Builder
	for part := range strings.SplitAfterSeq(string(p), "\n") {
		if part == "" {
			continue
		}
		if !m.within {
			out.WriteString(guestMark)
		}
		out.WriteString(part)
		m.within = !strings.HasSuffix(part, "\n")
	}
	if _, err := io.WriteString(m.w, out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// guestOut is where a guest prints: a program that reads it gets the bytes as they are, a person what can be shown.
func guestOut() io.Writer {
	if atTerminal(os.Stdout) {
		return stdout
	}
	return os.Stdout
}

// atTerminal reports whether a person is likely to look at f.
func atTerminal(f *os.File) bool { return isTerminal(f) && os.Getenv("TERM") != "dumb" }

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// rawOut is standard output for what is no text; nobody can read that on a terminal.
func rawOut() (io.Writer, error) {
	if isTerminal(os.Stdout) && !isNull(os.Stdout) {
		return nil, usagef("this is not text: give a FILE, or send it to another program")
	}
	return os.Stdout, nil
}

func isNull(f *os.File) bool {
	a, err := f.Stat()
	b, err2 := os.Stat(os.DevNull)
	return err == nil && err2 == nil && os.SameFile(a, b)
}

// progress shows over and over in one line how far something is.
func progress(line string) { fmt.Fprint(os.Stderr, "\r"+printable(line)) }
