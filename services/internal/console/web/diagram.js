'use strict'
// This script draws the picture that the console sends. Each cell has a fixed place. Every text is inserted as text, never as HTML.
const places = { // x, y, width, height
  agent: [12, 12, 940, 46],
  client: [36, 86, 370, 98], server: [566, 86, 370, 98],
  process: [36, 216, 370, 98], extra: [566, 216, 370, 98],
  'spire-server': [1020, 12, 232, 106], 'other-spire': [1020, 126, 232, 68], 'other-host': [1020, 216, 232, 98],
}
// For each pair of cells: where the arrow begins and ends, and the middle of its label.
const ways = {
  'client-server': [406, 142, 566, 142, 486, 128],
  'process-server': [406, 250, 566, 170, 486, 266],
  'client-extra': [406, 170, 566, 250, 474, 263],
  'process-extra': [406, 282, 566, 282, 486, 310],
  'client-process': [120, 184, 120, 216, 210, 208],
  'process-client': [120, 216, 120, 184, 210, 208],
  'server-extra': [700, 184, 700, 216, 790, 208],
  'extra-server': [700, 216, 700, 184, 790, 208],
  'other-host-extra': [1020, 262, 936, 262, 932, 208],
  'other-host-server': [1020, 236, 936, 164, 932, 208],
  'agent-spire-server': [952, 35, 1020, 35],
  'agent-other-spire': [952, 50, 1020, 150],
  'other-host-spire-server': [1236, 216, 1236, 118, 1160, 208],
  'other-host-other-spire': [1236, 216, 1236, 194, 1160, 208],
  'agent-client': [386, 58, 386, 86, 286, 80], 'client-agent': [386, 86, 386, 58, 272, 80],
  'agent-server': [586, 58, 586, 86, 690, 80], 'server-agent': [586, 86, 586, 58, 700, 80],
  'agent-process': [20, 58, 20, 262, 120, 208], 'process-agent': [20, 262, 20, 58, 130, 208],
  'agent-extra': [948, 58, 948, 262, 0, 0], 'extra-agent': [948, 262, 948, 58, 850, 208],
}
const size = { width: 1256, height: 392, text: 24 }
const ns = 'http://www.w3.org/2000/svg'
let picture = null
let pointed = '' // the arrow that is marked

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(ns, name)
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined && value !== '') made.setAttribute(key, value)
  made.append(...children)
  return made
}

// write puts a text at a place. If the text is wider than the limit most, it is made narrower or shorter. write returns the end of the
// text.
function write(into, x, y, text, most, attributes = {}) {
  const made = svg('text', { x, y, ...attributes }, text)
  into.append(made)
  let width = made.getComputedTextLength()
  for (let keep = text.length - 1; width > most / 0.8 && keep > 8; keep = Math.min(keep - 1, Math.floor(keep * most / 0.8 / width))) {
    made.textContent = `${text.slice(0, Math.ceil(keep / 2))}…${text.slice(text.length - Math.floor(keep / 2))}`
    width = made.getComputedTextLength()
  }
  if (width > most) {
    made.setAttribute('textLength', most)
    made.setAttribute('lengthAdjust', 'spacingAndGlyphs')
    width = most
  }
  return x + width
}

// wrap puts a text into several lines at a place. The last line gets all words that are left.
function wrap(into, x, y, text, most, lines, attributes = {}) {
  const probe = svg('text', attributes)
  into.append(probe)
  const words = text.split(' ')
  probe.textContent = text
  if (probe.getComputedTextLength() <= most) y += 14
  for (let line = 0; line < lines && words.length; line++) {
    let row = words.shift()
    while (words.length) {
      probe.textContent = `${row} ${words[0]}`
      if (line === lines - 1 || probe.getComputedTextLength() > most) break
      row += ` ${words.shift()}`
    }
    if (line === lines - 1) row = [row, ...words.splice(0)].join(' ')
    write(into, x, y + line * 28, row, most, attributes)
  }
  probe.remove()
}

// mark draws a CA as a letter in a circle. For a CA of another trust domain it draws a diamond. It returns the end of the mark.
function mark(into, x, y, ca) {
  const middle = x + 15
  into.append(ca.foreign
    ? svg('path', { class: 'ca foreign', d: `M${middle} ${y - 26}l17 17l-17 17l-17 -17z` })
    : svg('circle', { class: `ca ${'ABCD'.includes(ca.letter) ? `ca-${ca.letter}` : ''}`, cx: middle, cy: y - 9, r: 15 }))
  into.append(svg('text', { class: 'letter', x: middle, y, 'text-anchor': 'middle' }, ca.letter))
  return x + 36
}

const leftOf = (expires, now, short) => {
  const left = Math.round((new Date(expires) - now) / 1000)
  if (left <= 0) return { text: 'EXPIRED', late: true }
  return { text: (left < 120 ? `${left} s` : `${Math.round(left / 60)} min`) + (short ? '' : ' left'), late: left < 15 }
}

function drawBox(into, box, refuses, fresh, now) {
  const [x, y, width, height] = places[box.cell]
  const g = svg('g', { class: `box ${box.cell}${box.stopped ? ' stopped' : ''}${refuses ? ' refuses' : ''}`, role: 'img', 'aria-label': box.sentence, 'data-cell': box.cell })
  into.append(g)
  g.append(svg('rect', { x, y, width, height, rx: 6 }))
  if (box.stopped) g.append(svg('path', { class: 'cross', d: `M${x} ${y}L${x + width} ${y + height}M${x + width} ${y}L${x} ${y + height}` }))
  const inside = width - 20
  let line = y + (box.cell === 'agent' ? 32 : 28)
  const words = []
  if (refuses) words.push('REFUSES')
  if (box.stopped) words.push(box.stopped === 'not there' ? 'NOT THERE' : box.stopped === 'paused' ? 'PAUSED' : 'STOPPED')
  const shown = words.join(' ')
  const end = write(g, x + 10, line, box.name, shown && inside > 300 ? inside - 150 : inside, { class: 'name' })
  if (shown && inside > 300) {
    const badge = 20 + shown.length * 17
    const at = box.cell === 'agent' ? end + 16 : x + width - badge - 6
    g.append(svg('rect', { class: 'badge', x: at, y: line - 24, width: badge, height: 30 }))
    write(g, at + badge / 2, line, shown, badge - 8, { class: 'on-badge', 'text-anchor': 'middle' })
  }
  if (box.cell === 'agent') {
    write(g, x + 474, line, box.who || 'one host', 150, { class: box.who ? 'name' : '', 'text-anchor': 'middle' })
    return
  }
  const lines = []
  if (shown && inside < 300) lines.push(() => write(g, x + 10, line, shown, inside, { class: 'name' }))
  if (box.who) lines.push(() => write(g, x + 10, line, box.who, inside))
  if (box.id) lines.push(() => write(g, x + 10, line, inside < 300 ? box.id.replace('spiffe://', '') : box.id, inside, { class: 'id' }))
  else if (box.shows) lines.push(() => write(g, x + 10, line, box.shows, inside, { class: 'shows' }))
  const cas = box.cas || []
  for (const row of [cas.slice(0, 1), cas.slice(1)]) {
    if (!row.length) continue
    lines.push(() => {
      let at = x + 10
      for (const ca of row) at = mark(g, write(g, at, line, ca.state, inside / row.length - 44) + 6, line, ca) + 2
    })
  }
  if (box.svid && inside > 300) {
    lines.push(() => {
      const short = (box.trusts || []).length > 1
      const left = leftOf(box.svid.expires, now, short)
      const card = svg('rect', { class: `card${fresh ? ' fresh' : ''}`, x: x + 6, y: line - 23, height: 31, rx: 3 })
      g.append(card)
      let at = write(g, x + 12, line, fresh ? 'NEW' : 'SVID', 70) + 6
      if (box.signedBy) at = mark(g, at, line, box.signedBy)
      at = write(g, at, line, left.text, 130, { class: left.late ? 'left late' : 'left', 'data-expires': box.svid.expires, 'data-short': short ? 'yes' : '' })
      card.setAttribute('width', at - x)
      if (!(box.trusts || []).length) return
      at = write(g, at + 12, line, 'trusts', Math.max(40, x + width - at - 16 - 36 * box.trusts.length)) + 4
      for (const ca of box.trusts) at = mark(g, at, line, ca)
    })
  }
  const room = Math.floor((height - 30) / 29)
  for (const draw of lines.slice(0, room)) {
    line += 29
    draw()
  }
}

// sign draws a stop sign with a cross. The middle of the sign is at this place.
function sign(into, x, y) {
  const r = 19, k = r * 0.414
  into.append(svg('path', { class: 'sign', d: `M${x - k} ${y - r}H${x + k}L${x + r} ${y - k}V${y + k}L${x + k} ${y + r}H${x - k}L${x - r} ${y + k}V${y - k}z` }))
  into.append(svg('path', { class: 'on-sign', d: `M${x - 8} ${y - 8}L${x + 8} ${y + 8}M${x + 8} ${y - 8}L${x - 8} ${y + 8}` }))
}

const marksOf = { served: '✓ ', refused: '', 'not reached': '… ', happened: '' }

function drawArrow(into, arrow, now) {
  const way = ways[`${arrow.from}-${arrow.to}`]
  if (!way) return
  const [x1, y1, x2, y2, labelX, labelY] = way
  const kind = arrow.dashed ? 'dashed' : (arrow.verdict || 'idle').replace(' ', '-')
  const g = svg('g', { class: `arrow ${arrow.kind} ${kind}`, role: 'img', 'aria-label': arrow.sentence, 'data-arrow': arrow.id, 'data-row': arrow.row, 'data-refuser': arrow.refuser })
  into.append(g)
  const elbow = x1 === x2 && (arrow.from === 'process' || arrow.to === 'process' || arrow.from === 'extra' || arrow.to === 'extra') && arrow.kind === 'identity'
  const outward = arrow.from === 'process' || arrow.to === 'process' ? 16 : -12
  const [dx, dy] = [x2 - x1, y2 - y1]
  const length = Math.hypot(dx, dy)
  const [ux, uy] = [dx / length, dy / length]
  const off = Math.min(20, length / 10)
  const stop = arrow.refuser === arrow.to ? [x2 - ux * off, y2 - uy * off] : arrow.refuser === arrow.from ? [x1 + ux * off, y1 + uy * off] : null
  let d = `M${x1} ${y1}L${x2} ${y2}`
  if (elbow) d = arrow.to === 'agent' ? `M${x1 + outward} ${y1}H${x1}V${y2}` : `M${x1} ${y1}V${y2}H${x2 + outward}`
  g.append(svg('path', { class: 'hit', d }), svg('path', { class: 'line', d }))
  if (!stop && !arrow.dashed && arrow.verdict !== 'not reached') {
    const [tx, ty, vx, vy] = elbow && arrow.to !== 'agent' ? [x2 + outward, y2, Math.sign(outward), 0] : [x2, y2, ux, uy]
    g.append(svg('path', { class: 'head', d: `M${tx} ${ty}L${tx - vx * 16 - vy * 9} ${ty - vy * 16 + vx * 9}L${tx - vx * 16 + vy * 9} ${ty - vy * 16 - vx * 9}z` }))
  }
  if (arrow.verdict === 'served' && !arrow.dashed) g.append(svg('circle', { class: 'dot', cx: x1, cy: y1, r: 9, style: '' }))
  if (stop) sign(g, ...stop)
  const label = arrow.label && arrow.label !== 'happened' ? (arrow.dashed ? '' : marksOf[arrow.verdict] || '') + arrow.label : ''
  if (arrow.verdict === 'happened' && !arrow.dashed && !recent(arrow.at, now) && arrow.kind === 'identity') return
  if (!label || !arrow.verdict && !arrow.dashed) return
  if (arrow.to === 'spire-server' && arrow.from === 'agent') { // the label of this arrow is in the agent's box
    write(g, 942, 44, arrow.dashed ? label : `${label} →`, 240, { class: 'label inside', 'text-anchor': 'end' })
    return
  }
  if (labelX) write(g, labelX, labelY, label, 180, { class: 'label', 'text-anchor': 'middle' })
}

// recent reports whether something happened in the last 10 s. During this time an SVID is marked as new.
const recent = (at, now) => now - new Date(at) < 10000
let renewed = '' // which SVIDs were new when the picture was drawn
const renewals = (now) => picture.boxes.map((box) => Boolean(box.svid && recent(box.svid.since, now))).join()

function drawPicture(now) {
  const into = document.getElementById('diagram')
  if (!picture) return
  into.replaceChildren()
  into.append(svg('rect', { class: 'host', x: 4, y: 4, width: 952, height: 318, rx: 8 }))
  const refusers = new Set(picture.arrows.filter((arrow) => arrow.verdict === 'refused').map((arrow) => arrow.refuser))
  const arrows = svg('g')
  for (const box of picture.boxes) {
    drawBox(into, box, refusers.has(box.cell), Boolean(box.svid && recent(box.svid.since, now)), now)
  }
  into.append(arrows)
  renewed = renewals(now)
  for (const arrow of picture.arrows) drawArrow(arrows, arrow, now)
  if (picture.headline) {
    const strip = svg('g', { class: `headline${picture.refused ? ' refused' : ''}`, 'aria-hidden': 'true', 'data-arrow': picture.arrow })
    into.append(strip)
    strip.append(svg('rect', { x: 4, y: 328, width: 1248, height: 62 }))
    if (picture.refused) sign(strip, 32, 359)
    wrap(strip, picture.refused ? 64 : 16, 354, picture.refused ? picture.headline : `${marksOf[(picture.arrows.find((arrow) => arrow.id === picture.arrow) || {}).verdict] || ''}${picture.headline}`, picture.refused ? 1178 : 1226, 2)
  }
  document.getElementById('alternative').textContent = [...picture.boxes, ...picture.arrows].map((part) => part.sentence).join('. ')
  point(pointed)
}

// tick updates the remaining times of the SVIDs.
function tick(now) {
  if (!picture) return
  if (renewals(now) !== renewed) return drawPicture(now)
  for (const text of document.querySelectorAll('#diagram [data-expires]')) {
    const left = leftOf(text.dataset.expires, now, text.dataset.short)
    if (text.textContent !== left.text) text.textContent = left.text
    text.setAttribute('class', left.late ? 'left late' : 'left')
  }
}

// pulse shows a request that moves along its arrow.
function pulse(id) {
  const dot = document.querySelector(`#diagram [data-arrow="${CSS.escape(id)}"] .dot`)
  const way = picture && picture.arrows.find((arrow) => arrow.id === id)
  if (!dot || !way || matchMedia('(prefers-reduced-motion: reduce)').matches) return
  const [x1, y1, x2, y2] = ways[`${way.from}-${way.to}`] || [0, 0, 0, 0]
  dot.animate([{ transform: 'none', opacity: 1 }, { transform: `translate(${x2 - x1}px, ${y2 - y1}px)`, opacity: 1 }], { duration: 600 })
}

// point marks the arrow of a row.
function point(id) {
  pointed = id
  for (const arrow of document.querySelectorAll('#diagram .arrow')) arrow.classList.toggle('chosen', Boolean(id) && arrow.dataset.arrow === id)
}
