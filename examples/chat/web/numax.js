// What the pages of the examples have in common: following a dataset, and sending edits that survive being offline.
// A page keeps what it last saw and what it has not sent yet in localStorage, so it can be closed and opened offline.

const retryMs = 1000

// follow calls value(family, key, value) for each object under prefix, now and whenever it changes, and state(online)
// as the node comes and goes; ready() after all objects were told.
export function follow(prefix, { value, ready = () => {}, state = () => {} }) {
  let source, again
  const open = () => {
    source = new EventSource('.live?prefix=' + encodeURIComponent(prefix))
    source.addEventListener('value', (e) => {
      const v = JSON.parse(e.data)
      value(v.family, v.key, v.value)
    })
    source.addEventListener('ready', () => { state(true); ready() })
    source.onerror = () => {
      state(false)
      // Not left to the browser: its wait grows, and it gives up when the answer is an error.
      source.close()
      clearTimeout(again)
      again = setTimeout(open, retryMs)
    }
  }
  addEventListener('offline', () => source.onerror())
  state(false)
  open()
}

// Outbox sends edits in their order, each until the node has answered. changed() is called when pending has changed,
// sent(edit) before an edit leaves it, refused(edit, why) when the node will never take it. Each edit has a key of its
// own in localStorage, so that tabs share them; whichever sends one, sending it twice is safe.
export class Outbox {
  constructor(name, { changed = () => {}, sent = () => {}, refused = () => {} } = {}) {
    Object.assign(this, { prefix: name + '/', changed, sent, refused, edits: new Map() })
    for (const key of stored()) if (key.startsWith(this.prefix)) this.edits.set(key, load(key, {}))
    addEventListener('storage', ({ key, newValue }) => {
      if (!key?.startsWith(this.prefix)) return
      if (newValue) this.edits.set(key, load(key, {}))
      else this.edits.delete(key)
      this.changed()
    })
    addEventListener('online', () => this.flush())
    setInterval(() => this.flush(), retryMs)
    this.flush()
  }

  // pending is what was not sent yet, the oldest first.
  get pending() { return [...this.edits.keys()].sort().map((key) => this.edits.get(key)) }

  // add takes {method, path, body}; it must be safe to send twice.
  add(edit) {
    const key = this.prefix + freshID()
    this.edits.set(key, edit)
    store(key, edit)
    this.changed()
    this.flush()
  }

  async flush() {
    if (this.busy) return
    this.busy = true
    try {
      while (this.edits.size) {
        const key = [...this.edits.keys()].sort()[0]
        const edit = this.edits.get(key)
        const answer = await fetch(edit.path, {
          method: edit.method,
          body: edit.body === undefined ? undefined : JSON.stringify(edit.body),
          signal: AbortSignal.timeout(5000),
        })
        if (answer.status === 429 || answer.status >= 500) return // later
        if (answer.ok) this.sent(edit)
        else this.refused(edit, (await answer.json().catch(() => ({}))).error || answer.statusText)
        this.edits.delete(key)
        store(key, undefined)
        this.changed()
      }
    } catch {
      // no answer: later
    } finally {
      this.busy = false
    }
  }
}

function stored() {
  try {
    return Object.keys(localStorage)
  } catch {
    return []
  }
}

export function load(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? otherwise
  } catch {
    return otherwise
  }
}

// store keeps a value, or no longer if it is undefined.
export function store(name, value) {
  try {
    if (value === undefined) localStorage.removeItem(name)
    else localStorage.setItem(name, JSON.stringify(value))
  } catch {
    // Full, or forbidden: the page works until it is closed.
  }
}

let lastID = 0

// freshID is unlike any other, and sorts by when it was made.
export function freshID() {
  const random = crypto.getRandomValues(new Uint32Array(2))
  lastID = Math.max(lastID + 1, Date.now())
  return lastID.toString(36).padStart(9, '0') + '-' + [...random].map((n) => n.toString(36)).join('')
}

// showState keeps the element #state: connected, or not, with how much waits to be sent.
export function showState(online, waiting = 0) {
  const e = document.getElementById('state')
  e.className = online ? 'online' : 'offline'
  const text = online ? 'connected' : 'offline'
  const all = waiting ? `${text} · ${waiting} to send` : text
  if (e.textContent !== all) e.textContent = all
}

// The page itself is kept too, where browsers allow it: at localhost and over HTTPS.
if ('serviceWorker' in navigator) navigator.serviceWorker.register('sw.js').catch(() => {})
