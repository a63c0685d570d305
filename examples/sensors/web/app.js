import { follow, load, showState, store } from './numax.js'

const span = 120_000 // ms on the plot
const silent = 10_000 // ms without a reading
const gap = 5_000 // ms over which no line is drawn
const colours = 6

const seen = load('sensors/seen', { readings: {}, summary: {} })
let drawn, unsaved

follow('sensors/', {
  value(family, key, fields) {
    if (key === 'sensors/summary') {
      seen.summary = {}
      for (const [name, text] of Object.entries(fields)) {
        try { seen.summary[name] = JSON.parse(text) } catch { /* of another program */ }
      }
    } else {
      const points = Object.values(fields).map((text) => text.split(' ').map(Number))
      seen.readings[key.slice('sensors/readings/'.length)] = points.filter(([t, v]) => isFinite(t) && isFinite(v)).sort((a, b) => a[0] - b[0])
    }
    drawn ??= requestAnimationFrame(draw)
    unsaved ??= setTimeout(() => { unsaved = undefined; store('sensors/seen', seen) }, 2000)
  },
  state: (online) => showState(online),
})
addEventListener('resize', () => { drawn ??= requestAnimationFrame(draw) })

const colour = (i) => `var(--c${i % colours})`
const degrees = (v) => v.toFixed(1)

function draw() {
  drawn = undefined
  const names = Object.keys(seen.readings).sort()
  // The newest reading is now: this machine's clock may be another.
  const now = Math.max(...names.flatMap((n) => seen.readings[n].slice(-1).map(([t]) => t)), 0)
  const lines = names.map((n) => seen.readings[n].filter(([t]) => t > now - span))
  plot(lines, now)
  table(names, now)
}

// plot draws lines of [time, value] that end at now.
function plot(lines, now) {
  const svg = document.getElementById('plot')
  const { width, height } = svg.getBoundingClientRect()
  const left = 36, right = 12, top = 8, bottom = 24
  const values = lines.flat().map(([, v]) => v)
  if (!values.length) return
  const step = Math.max(...values) - Math.min(...values) > 8 ? 2 : 1
  const low = Math.floor((Math.min(...values) - 0.2) / step) * step
  const high = Math.ceil((Math.max(...values) + 0.2) / step) * step
  const x = (t) => left + (width - left - right) * (1 - (now - t) / span)
  const y = (v) => top + (height - top - bottom) * (1 - (v - low) / (high - low))
  const out = []
  for (let v = low; v <= high; v += step) {
    out.push(`<line class="grid" x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}"/>`)
    out.push(`<text x="${left - 8}" y="${y(v) + 4}" text-anchor="end">${v}°</text>`)
  }
  for (const [ago, text, anchor] of [[span, '2 min ago', 'start'], [span / 2, '1 min', 'middle'], [0, 'now', 'end']]) {
    out.push(`<text x="${x(now - ago)}" y="${height - 6}" text-anchor="${anchor}">${text}</text>`)
  }
  lines.forEach((line, i) => {
    const d = line.map(([t, v], j) => `${j && t - line[j - 1][0] < gap ? 'L' : 'M'}${x(t).toFixed(1)} ${y(v).toFixed(1)}`)
    out.push(`<path d="${d.join('')}" stroke="${colour(i)}"/>`)
    const last = line.at(-1)
    if (last) out.push(`<circle cx="${x(last[0])}" cy="${y(last[1])}" r="3.5" fill="${colour(i)}"/>`)
  })
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`)
  svg.innerHTML = out.join('')
}

function table(names, now) {
  const rows = names.map((name, i) => {
    const s = seen.summary[name]
    const row = document.createElement('tr')
    if (!s || now - s.time > silent) row.className = 'silent'
    const dot = Object.assign(document.createElement('span'), { className: 'dot' })
    dot.style.background = colour(i)
    const cells = [name, ...(s ? [s.last, s.min, s.mean, s.max].map(degrees) : ['–', '–', '–', '–'])]
    row.append(...cells.map((text) => Object.assign(document.createElement('td'), { textContent: text })))
    row.firstChild.prepend(dot)
    return row
  })
  document.getElementById('rows').replaceChildren(...rows)
  document.getElementById('empty').hidden = rows.length > 0
}

draw()
