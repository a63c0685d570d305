package main_test

import (
	"fmt"
	"testing"
	"time"
)

// soon is when an edit in one browser is to be seen in another, on another node; on a busy machine it may be soonBusy.
const (
	soon     = 500 * time.Millisecond
	soonBusy = 5 * time.Second
)

// testPages looks at the pages of the examples in two browsers, one at each node. With NUMAX_SCREENSHOTS=DIR it leaves
// pictures there.
func testPages(t *testing.T, a, b *service) {
	browser := startChromium(t, findChromium(t))
	t.Run("todo", func(t *testing.T) { testTodoPage(t, browser, a, b) })
	t.Run("sensors", func(t *testing.T) { testSensorsPage(t, browser, a) })
	t.Run("chat", func(t *testing.T) { testChatPage(t, browser, a, b) })
}

const online = `document.getElementById('state')?.textContent === 'connected'`

// shots takes a picture in light, in dark, and as on a phone.
func (p *page) shots(name string) {
	p.shoot(name + "-light")
	p.look(800, 700, "dark")
	p.shoot(name + "-dark")
	p.look(390, 760, "light")
	p.shoot(name + "-phone")
	p.look(800, 700, "light")
}

func testTodoPage(t *testing.T, browser *chromium, a, b *service) {
	left, right := browser.open(t, a.page("todo/")), browser.open(t, b.page("todo/"))
	left.wait(online)
	right.wait(online)

	// The focus is where one types.
	add := func(p *page, text string) {
		t.Helper()
		p.do(`document.getElementById('text').focus()`)
		p.write(text)
		p.press("Enter")
	}
	has := func(text string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('#list li input[type=text]')].some((e) => e.value === %q)`, text)
	}
	var took []time.Duration
	for i, text := range []string{"Water the tomatoes", "Call the plumber", "Book the ferry to Naxos", "Mend the gate"} {
		from, to := left, right
		if i%2 == 1 {
			from, to = right, left
		}
		began := time.Now() // of the typing
		add(from, text)
		to.wait(has(text))
		took = append(took, time.Since(began).Round(time.Millisecond))
	}
	t.Logf("seen in the other browser, on the other node, after %v", took)
	for _, d := range took {
		if d > soonBusy {
			t.Errorf("an edit was seen after %v, want %v", d, soon)
		}
	}
	check := func(p *page, text string) {
		t.Helper()
		p.do(fmt.Sprintf(`[...document.querySelectorAll('#list li')].find((e) => e.children[1].value === %q).children[0].click()`, text))
	}
	check(right, "Call the plumber")
	left.wait(`document.querySelectorAll('#list li.done').length === 1`)
	left.shots("todo")

	// The nodes are apart: both edit; together again both show the same.
	cut(t, a, b)
	add(left, "Buy rope")
	check(left, "Mend the gate")
	add(right, "Feed the cat")
	right.do(`(() => {
		const field = [...document.querySelectorAll('#list li input[type=text]')].find((e) => e.value === 'Mend the gate')
		field.focus()
		field.value = 'Mend the garden gate'
		field.blur()
	})()`)
	left.wait(has("Buy rope"))
	right.wait(has("Feed the cat"))
	join(t, a, b)
	const whole = `JSON.stringify([...document.querySelectorAll('#list li')].map((e) => [e.children[1].value, e.className]))`
	for _, p := range []*page{left, right} {
		p.wait(has("Buy rope") + " && " + has("Feed the cat") + " && " + has("Mend the garden gate") +
			` && document.querySelectorAll('#list li.done').length === 2 && document.querySelectorAll('#list li.waiting').length === 0`)
	}
	l, err := left.eval(whole)
	r, err2 := right.eval(whole)
	if err != nil || err2 != nil || l != r {
		t.Errorf("the pages show\n%v, %v\n%v, %v", l, err, r, err2)
	}

	// The node goes away: edits wait in the browser, also when the page is opened anew, and are sent when the node is back.
	left.wait(`navigator.serviceWorker.ready.then((r) => r.active.state === 'activated')`)
	a.stop()
	add(left, "Paint the boat")
	left.wait(has("Paint the boat") + ` && document.getElementById('state').textContent === 'offline · 1 to send'`)
	left.shoot("todo-offline")
	left.call("Page.reload", object{}, nil)
	left.wait(has("Paint the boat") + " && " + has("Buy rope") + ` && document.getElementById('state').className === 'offline'`)
	a.start()
	if err := b.Connect(t.Context(), a.Addrs[0]); err != nil {
		t.Fatal(err)
	}
	right.wait(has("Paint the boat"))
	left.wait(online)
}

func testSensorsPage(t *testing.T, browser *chromium, a *service) {
	p := browser.open(t, a.page("sensors/"))
	p.wait(online + ` && document.querySelectorAll('#plot path').length === 2 && document.querySelectorAll('#rows tr').length >= 2`)
	// It goes on by itself.
	p.do(`was = document.querySelector('#plot path').getAttribute('d')`)
	p.wait(`was !== document.querySelector('#plot path').getAttribute('d')`)
	p.shots("sensors")
}

func testChatPage(t *testing.T, browser *chromium, a, b *service) {
	left, right := browser.open(t, a.page("chat/")), browser.open(t, b.page("chat/"))
	for p, name := range map[*page]string{left: "Ann", right: "Bob"} {
		p.wait(online)
		p.do(`document.getElementById('name').focus()`)
		p.write(name)
		p.press("Tab")
	}
	says := func(p *page, text string) {
		t.Helper()
		p.do(`document.getElementById('text').focus()`)
		p.write(text)
		p.press("Enter")
	}
	shows := func(text string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('#room li:not(.waiting)')].some((e) => e.textContent.endsWith(%q))`, text)
	}
	says(left, "The ferry is late again. Are you at the harbour?")
	right.wait(shows("Are you at the harbour?"))
	says(right, "Yes, at the café.\u00a0No hurry.")
	left.wait(shows("No hurry."))
	says(left, "On my way.")
	right.wait(shows("On my way."))
	right.do(`document.getElementById('text').focus()`)
	right.write("I ordered for you")
	left.wait(`document.getElementById('here').textContent === 'Bob is typing …'`)
	left.shots("chat")
}
