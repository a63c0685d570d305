import { Outbox, follow, freshID, load, showState, store } from './numax.js'

// What the node has told: ids on the list, and the fields of items. What is shown is that with the outbox applied.
const seen = load('todo/seen', { ids: [], items: {} })
let online = false

const outbox = new Outbox('todo/outbox', {
  changed: () => render(),
  sent: (edit) => apply(seen, edit), // the node has it, and will say so in a moment
  refused: (edit, why) => { byID('refused').textContent = why },
})

let unsaved
follow('todo/', {
  value(family, key, value) {
    if (key === 'todo/items') seen.ids = value
    else seen.items[key.slice('todo/item/'.length)] = value
    render()
    unsaved ??= setTimeout(save, 200)
  },
  state(now) { online = now; render() },
  ready() { outbox.flush() },
})

function save() {
  unsaved = undefined
  const listed = Object.entries(seen.items).filter(([id]) => seen.ids.includes(id))
  store('todo/seen', { ids: seen.ids, items: Object.fromEntries(listed) })
}

function byID(id) { return document.getElementById(id) }

// apply changes the picture {ids, items} as the node will.
function apply(to, edit) {
  const id = edit.path.slice('api/items/'.length)
  if (edit.method === 'DELETE') {
    to.ids = to.ids.filter((x) => x !== id)
    return
  }
  if (!to.ids.includes(id)) to.ids = [...to.ids, id]
  const { text, done } = edit.body
  to.items[id] = { ...to.items[id], ...(text !== undefined && { text }), ...(done !== undefined && { done: done ? '1' : '0' }) }
}

const put = (id, body) => outbox.add({ method: 'PUT', path: 'api/items/' + id, body })
const remove = (id) => outbox.add({ method: 'DELETE', path: 'api/items/' + id })

byID('new').onsubmit = (e) => {
  e.preventDefault()
  const text = byID('text').value.trim()
  byID('refused').textContent = ''
  if (text) put(freshID(), { text, done: false })
  byID('text').value = ''
}

// render brings the rows up to date in place, so that what is being typed and the focus stay.
function render() {
  const now = { ids: seen.ids, items: { ...seen.items } }
  for (const edit of outbox.pending) apply(now, edit)
  const waiting = new Set(outbox.pending.map((edit) => edit.path.slice('api/items/'.length)))
  const list = byID('list')
  const ids = [...now.ids].sort().reverse() // ids sort by age: the newest first
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]))
  for (const [id, row] of rows) if (!now.ids.includes(id)) removeRow(row)
  ids.forEach((id, i) => {
    const row = rows.get(id) ?? newRow(id)
    const { text = '', done } = now.items[id] ?? {}
    const [check, field] = row.children
    if (document.activeElement !== field && field.value !== text) field.value = text
    field.dataset.text = text
    check.checked = done === '1'
    row.className = [done === '1' && 'done', waiting.has(id) && 'waiting'].filter(Boolean).join(' ')
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null)
  })
  const left = ids.filter((id) => now.items[id]?.done !== '1').length
  byID('empty').hidden = ids.length > 0
  byID('left').textContent = ids.length ? `${left} of ${ids.length} to do` : ''
  showState(online, outbox.pending.length)
}

function newRow(id) {
  const row = document.createElement('li')
  row.dataset.id = id
  row.innerHTML = `<input type="checkbox" aria-label="Done"><input type="text" maxlength="160" aria-label="Text"><button aria-label="Remove" title="Remove">×</button>`
  const [check, field, button] = row.children
  check.onchange = () => put(id, { done: check.checked })
  field.onkeydown = (e) => {
    if (e.key === 'Escape') field.value = field.dataset.text
    if (e.key === 'Enter' || e.key === 'Escape') field.blur()
  }
  field.onblur = () => {
    const text = field.value.trim()
    if (text && text !== field.dataset.text) put(id, { text })
    else field.value = field.dataset.text
  }
  button.onclick = () => remove(id)
  return row
}

// removeRow takes a row away; the focus goes to its neighbour.
function removeRow(row) {
  if (row.contains(document.activeElement)) {
    const next = row.nextElementSibling ?? row.previousElementSibling
    ;(next?.querySelector('button') ?? byID('text')).focus()
  }
  row.remove()
}
