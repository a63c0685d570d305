package main_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// chromium is a headless browser, driven by the DevTools protocol over a pipe: objects with a 0 byte behind each.
type chromium struct {
	in io.WriteCloser

	mu    sync.Mutex // guards the rest
	last  int
	calls map[int]chan reply
	over  error
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// browserCall bounds one call; a browser on a busy machine takes seconds to start.
const browserCall = 30 * time.Second

// findChromium is the browser of this machine, or skips.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	// The pages need a browser, which not every machine has; their nodes are tested without one.
	t.Skip("no chromium here: on Debian, make toolchains installs one")
	return ""
}

func startChromium(t *testing.T, path string) *chromium {
	t.Helper()
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--headless", "--remote-debugging-pipe", "--user-data-dir=" + t.TempDir(), "--no-first-run", "--disable-gpu", "--hide-scrollbars"}
	if os.Getuid() == 0 {
		args = append(args, "--no-sandbox") // it refuses to be root's otherwise
	}
	cmd := exec.Command(path, args...)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	c := &chromium{in: in, calls: map[int]chan reply{}}
	read := make(chan struct{})
	go func() { defer close(read); c.read(out) }()
	t.Cleanup(func() {
		in.Close() // it ends with its pipe
		end := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		end.Stop()
		<-read
	})
	return c
}

func (c *chromium) read(out io.ReadCloser) {
	defer out.Close()
	for r := bufio.NewReader(out); ; {
		b, err := r.ReadBytes(0)
		if err != nil {
			c.mu.Lock()
			c.over = fmt.Errorf("the browser has ended: %w", err)
			for _, answer := range c.calls {
				close(answer)
			}
			c.mu.Unlock()
			return
		}
		var m struct {
			ID int
			reply
		}
		if json.Unmarshal(b[:len(b)-1], &m) != nil || m.ID == 0 {
			continue // an event
		}
		c.mu.Lock()
		if answer := c.calls[m.ID]; answer != nil {
			answer <- m.reply
			delete(c.calls, m.ID)
		}
		c.mu.Unlock()
	}
}

// call calls a method, of a page if session is not "".
func (c *chromium) call(session, method string, params, result any) error {
	answer := make(chan reply, 1)
	c.mu.Lock()
	if c.over != nil {
		c.mu.Unlock()
		return c.over
	}
	c.last++
	id := c.last
	c.calls[id] = answer
	c.mu.Unlock()
	m := map[string]any{"id": id, "method": method, "params": params}
	if session != "" {
		m["sessionId"] = session
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := c.in.Write(append(b, 0)); err != nil {
		return err
	}
	select {
	case r, ok := <-answer:
		switch {
		case !ok:
			return errors.New("the browser has ended")
		case r.Error != nil:
			return errors.New(r.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(r.Result, result)
	case <-time.After(browserCall):
		return errors.New("no answer")
	}
}

type object = map[string]any

// page is a page of a browser profile of its own.
type page struct {
	t       *testing.T
	browser *chromium
	session string
}

func (c *chromium) open(t *testing.T, url string) *page {
	t.Helper()
	p := &page{t: t, browser: c}
	var profile struct{ BrowserContextID string }
	p.call("Target.createBrowserContext", object{}, &profile)
	var target struct{ TargetID string }
	p.call("Target.createTarget", object{"url": url, "browserContextId": profile.BrowserContextID}, &target)
	var s struct{ SessionID string }
	p.call("Target.attachToTarget", object{"targetId": target.TargetID, "flatten": true}, &s)
	p.session = s.SessionID
	// A page that is not in front is slowed down.
	p.call("Emulation.setFocusEmulationEnabled", object{"enabled": true}, nil)
	p.look(800, 700, "light")
	return p
}

func (p *page) call(method string, params, result any) {
	p.t.Helper()
	if err := p.browser.call(p.session, method, params, result); err != nil {
		p.t.Fatalf("browser: %s: %v", method, err)
	}
}

// look sets the size of the window, and light or dark.
func (p *page) look(width, height int, scheme string) {
	p.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride",
		object{"width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 500}, nil)
	p.call("Emulation.setEmulatedMedia",
		object{"features": []object{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// eval runs JavaScript in the page; a promise is waited for.
func (p *page) eval(code string) (any, error) {
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := p.browser.call(p.session, "Runtime.evaluate", object{"expression": code, "returnByValue": true, "awaitPromise": true, "userGesture": true}, &out)
	if e := out.ExceptionDetails; err == nil && e != nil {
		err = errors.New(e.Text + " " + e.Exception.Description)
	}
	return out.Result.Value, err
}

func (p *page) do(code string) {
	p.t.Helper()
	if _, err := p.eval(code); err != nil {
		p.t.Fatalf("in the page: %s\n%v", code, err)
	}
}

// wait waits until an expression holds in the page.
func (p *page) wait(expression string) {
	p.t.Helper()
	began := time.Now()
	for {
		v, err := p.eval(expression)
		if v == true {
			return
		}
		if time.Since(began) > patience {
			text, _ := p.eval("document.body?.innerText")
			p.t.Fatalf("after %v not so: %s\n%v %v; the page shows:\n%v", patience, expression, v, err, text)
		}
		time.Sleep(2 * time.Millisecond) // a poll with a deadline
	}
}

// press presses a key as a person does.
func (p *page) press(key string) {
	p.t.Helper()
	codes := map[string]int{"Enter": 13, "Escape": 27, "Tab": 9, " ": 32}
	down := object{"type": "keyDown", "key": key, "windowsVirtualKeyCode": codes[key]}
	if text := map[string]string{"Enter": "\r", " ": " "}[key]; text != "" {
		down["text"] = text
	}
	p.call("Input.dispatchKeyEvent", down, nil)
	p.call("Input.dispatchKeyEvent", object{"type": "keyUp", "key": key, "windowsVirtualKeyCode": codes[key]}, nil)
}

// write types text into what has the focus.
func (p *page) write(text string) {
	p.t.Helper()
	p.call("Input.insertText", object{"text": text}, nil)
}

// shoot takes a picture, into the folder that NUMAX_SCREENSHOTS names, if any.
func (p *page) shoot(name string) {
	p.t.Helper()
	dir := os.Getenv("NUMAX_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct{ Data string }
	p.call("Page.captureScreenshot", object{"format": "png"}, &shot)
	b, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
