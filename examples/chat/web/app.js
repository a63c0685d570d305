import { Outbox, follow, freshID, load, showState, store } from './numax.js'

const shown = 200 // messages
const hereMs = 2000 // how often the node is told who is here
const typingMs = 3000 // typing ends so long after the last key

const byID = (id) => document.getElementById(id)
const text = byID('text'), name = byID('name')
name.value = load('chat/name', '')
;(name.value ? text : name).focus()

let said = load('chat/said', []) // the newest first, as the node has it
let online = false
let typedAt = -Infinity

const outbox = new Outbox('chat/outbox', {
  changed: () => render(),
  refused: (edit, why) => { byID('here').textContent = 'Not sent: ' + why },
})

follow('chat', {
  value(family, key, lines) {
    if (key !== 'chat') return
    said = lines.slice(0, shown)
    store('chat/said', said)
    render()
  },
  state(now) { online = now; render() },
  ready() { outbox.flush(); beHere() },
})

byID('new').onsubmit = (e) => {
  e.preventDefault()
  const who = myName()
  if (!who || !text.value.trim()) return
  outbox.add({ method: 'POST', path: 'api/say', body: { id: freshID(), name: who, text: text.value.trim() } })
  text.value = ''
  typedAt = -Infinity
  const room = byID('room')
  room.scrollTop = room.scrollHeight
}

name.onchange = () => store('chat/name', myName())
text.oninput = () => {
  const was = performance.now() - typedAt < typingMs
  typedAt = performance.now()
  if (!was) beHere()
}
setInterval(beHere, hereMs)

function myName() { return name.value.replaceAll(': ', ':').trim() }

// beHere tells the node who is here, and learns who else is.
async function beHere() {
  if (!online || !myName() || document.hidden) return
  const typing = performance.now() - typedAt < typingMs
  try {
    const answer = await fetch('api/here', { method: 'POST', body: JSON.stringify({ name: myName(), typing }) })
    if (!answer.ok) return
    const others = (await answer.json()).filter((p) => p.name !== myName())
    const typists = others.filter((p) => p.typing).map((p) => p.name)
    const line = typists.length ? `${typists.join(', ')} ${typists.length > 1 ? 'are' : 'is'} typing …`
      : others.length ? `Here: ${others.map((p) => p.name).join(', ')}` : '\u00a0'
    if (byID('here').textContent !== line) byID('here').textContent = line
  } catch {
    // The connection's state says it.
  }
}

function render() {
  const room = byID('room')
  const atEnd = room.scrollHeight - room.scrollTop - room.clientHeight < 40
  const waiting = outbox.pending.map((edit) => `${edit.body.name}: ${edit.body.text}`)
  // What is on its way may be here already.
  if (online && waiting.length && said[0] === waiting[0]) waiting.shift()
  const rows = [...said].reverse().map((line) => row(line, ''))
  room.replaceChildren(...rows, ...waiting.map((line) => row(line, 'waiting')))
  if (!room.children.length) room.innerHTML = '<li class="quiet">Nobody has said anything yet.</li>'
  if (atEnd) room.scrollTop = room.scrollHeight
  showState(online, outbox.pending.length)
}

function row(line, state) {
  const cut = line.indexOf(': ')
  const who = cut < 0 ? '' : line.slice(0, cut)
  const li = document.createElement('li')
  li.className = [state, who === myName() && 'mine'].filter(Boolean).join(' ')
  li.append(Object.assign(document.createElement('b'), { textContent: who }), cut < 0 ? line : line.slice(cut + 2))
  return li
}
