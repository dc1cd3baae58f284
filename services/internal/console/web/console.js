'use strict'
// Draws what the console sends. Everything that came from a log is put in as text, never as HTML.
const $ = (id) => document.getElementById(id)
const most = 500
const rows = new Map() // by number: {row, item}
let paused = null // the latest of what has come since the page was paused
let lost = 0 // when the stream of events broke, if it did
let heard = Date.now() // when the last event came
let filter = ''
let chosen = null
let state = null
let offset = 0 // of the engine's clock against the browser's
const filters = ['', 'refused', 'not reached', 'served', 'happened']
const signs = { served: '✓', refused: '✗', 'not reached': '…', happened: '·' }
const token = new URLSearchParams(location.search).get('token') || ''
// The times at which rows were drawn first, for measurements.
window.drawn = []

function el(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== '') made.setAttribute(key, value)
  }
  made.append(...children.filter((child) => child !== ''))
  return made
}

const clock = (time) => new Date(time).toLocaleTimeString('en-GB', { timeZone: 'UTC' })

function name(party) {
  const id = (party.id || '').replace('spiffe://example.org/', '/')
  const place = [party.user, party.where].filter(Boolean).join(' in ')
  if (id && place) return `${id} (${place})`
  return id || place || 'somebody'
}

function verdict(row) {
  if (row.verdict === 'refused' && row.refusedBy === 'the SPIRE agent' && row.why) return 'NO IDENTITY from the SPIRE agent'
  if (row.verdict === 'refused') return `REFUSED by ${row.refusedBy}`
  if (row.verdict === 'happened') return ''
  return row.verdict
}

function draw(row) {
  const known = rows.get(row.number)
  const item = known ? known.item : el('li', { id: `row-${row.number}` })
  const shown = verdict(row)
  const head = row.verdict === 'happened'
    ? [el('span', { class: 'who' }, name(row.from)), ' ', el('span', {}, row.said[0].text)]
    : [el('span', { class: 'who' }, `${name(row.from)} → ${name(row.to)}`), ' ', el('span', { class: 'verdict' }, shown)]
  if (row.count > 1) head.push(el('span', { class: 'count' }, ` ×${row.count}`))
  item.className = row.verdict === 'not reached' ? 'unreached' : row.verdict
  item.replaceChildren(
    el('time', { datetime: row.at }, clock(row.at)),
    el('span', { 'aria-hidden': 'true' }, signs[row.verdict]),
    el('span', {}, ...head))
  if (row.verdict !== 'happened' && row.verdict !== 'served') {
    for (const said of row.said || []) item.append(el('span', { class: 'words' }, `${said.who}: ${said.text}`))
    if (row.lesson) item.append(el('span', { class: 'words' }, el('a', { href: lessonAddress(row.lesson) }, `why: ${row.lesson}`)))
  }
  item.hidden = Boolean(filter) && row.verdict !== filter
  rows.delete(row.number)
  rows.set(row.number, { row, item })
  place(item, row)
  if (known) return
  window.drawn.push({ number: row.number, at: row.at, drawn: Date.now(), verdict: row.verdict })
  if (window.drawn.length > 5000) window.drawn.splice(0, 1000)
  if (rows.size > most) {
    const oldest = $('rows').lastElementChild
    rows.delete(Number(oldest.id.slice('row-'.length)))
    oldest.remove()
  }
  if (row.verdict === 'refused') $('heard').textContent = `${name(row.from)} to ${name(row.to)}: ${shown}`
}

// place puts a row above all earlier ones.
function place(item, row) {
  const at = new Date(row.at).getTime()
  const after = (other) => other.at === at ? other.number > row.number : other.at > at
  item.order = { at, number: row.number }
  item.remove()
  let next = $('rows').firstElementChild
  while (next && after(next.order)) next = next.nextElementSibling
  $('rows').insertBefore(item, next)
}

// address returns the address of a part of the page. It is relative: a proxy may have put a path before it.
const address = (path) => `${path}?token=${encodeURIComponent(token)}`

function lessonAddress(lesson) {
  const theme = document.documentElement.dataset.theme
  return address(`lesson/${encodeURIComponent(lesson)}`) + (theme ? `&theme=${theme}` : '')
}

// drawHealth says what is down, or that the page itself gets nothing.
function drawHealth() {
  const silent = lost ? Math.round((Date.now() - lost) / 1000) : 0
  let words = 'all is running'
  if (silent > 15) words = `NO ANSWER for ${silent} s: does scripts/lab console run?`
  else if (lost) words = 'connection interrupted: reconnecting ...'
  else if (!state) words = 'connecting ...'
  else if (!state.known) words = state.problems ? 'CANNOT TELL what runs' : 'connecting ...'
  else if ((state.down || []).length) words = `DOWN: ${state.down.join(', ')}`
  const health = $('health')
  if (health.textContent !== words) health.textContent = words
  health.classList.toggle('loud', words !== 'all is running' && !words.endsWith('...'))
}

function drawState() {
  drawHealth()
  if (!state) return
  const scenario = state.scenario
  $('scenario').textContent = scenario
    ? `${scenario.name}: ${scenario.ended || scenario.step || scenario.expectation}` : 'no scenario is running'
  const problems = (state.problems || []).join('; ')
  if ($('problems').textContent !== problems) $('problems').textContent = problems
  $('problems').hidden = !problems
  $('none').hidden = rows.size > 0
  drawWho()
  drawWhy()
  drawTrust()
}

const seen = new Map() // the serial number that each service had, and when that changed

function drawWho() {
  const now = Date.now() + offset
  const programs = el('div', { class: 'host' }, el('h3', {}, 'one host'))
  const others = el('div', {})
  for (const who of state.who || []) {
    if (who.service === 'node') continue
    const box = el('div', {}, el('strong', {}, who.service))
    if (who.user && !/^spire/.test(who.service)) box.append(` as ${who.user}`)
    if (who.status !== 'running') box.append(' ', el('span', { class: 'stopped' }, who.status))
    if (who.svid) {
      const left = Math.round((new Date(who.svid.expires) - now) / 1000)
      const before = seen.get(who.service)
      if (!before || before.serial !== who.svid.serial) seen.set(who.service, { serial: who.svid.serial, at: before ? Date.now() : 0 })
      const fresh = Date.now() - seen.get(who.service).at < 10000
      box.append(el('div', { class: 'id' }, who.svid.id))
      box.append(el('div', { class: fresh ? 'new' : 'quiet' }, `${fresh ? 'NEW ' : ''}serial ${who.svid.serial.slice(0, 8)}…`))
      box.append(el('div', { class: left <= 0 || left < 15 ? 'soon' : 'quiet' },
        left <= 0 ? `EXPIRED ${-left} s ago` : `expires in ${left < 120 ? `${left} s` : `${Math.round(left / 60)} min`}`))
    }
    if (/^spire-server|^partner/.test(who.service)) others.append(box)
    else programs.append(box)
  }
  for (const agent of state.agents || []) {
    others.append(el('div', { class: agent.banned ? 'missing' : 'quiet' }, `${agent.banned ? 'BANNED ' : 'attested: '}${agent.id}`))
  }
  $('who').replaceChildren(programs, others)
}

const lacks = (entry) => entry.undelivered || (entry.missing || []).length > 0

function drawWhy() {
  const refused = [...rows.values()].reverse().map((known) => known.row).find((row) => row.why && row.why.selectors)
  const parts = []
  const explain = (why, title) => {
    const list = el('ul', {})
    for (const selector of why.selectors || []) list.append(el('li', { class: 'id' }, selector))
    parts.push(el('h3', {}, title), list)
    for (const entry of why.entries || []) {
      const wants = el('ul', {})
      const parent = `parent ${entry.parent}`
      wants.append(el('li', { class: 'id' }, entry.undelivered ? el('span', { class: 'missing' }, `WRONG ${parent}`) : `has ${parent}`))
      for (const selector of entry.selectors) {
        const missing = (entry.missing || []).includes(selector)
        wants.append(el('li', { class: 'id' }, missing ? el('span', { class: 'missing' }, `MISSING ${selector}`) : `has ${selector}`))
      }
      const verdict = entry.undelivered ? "is not delivered to this host's agent" : lacks(entry) ? 'does not match' : `gives ${entry.spiffeID}`
      parts.push(el('div', {}, `entry ${entry.id}: ${verdict}`), wants)
    }
  }
  if (refused) explain(refused.why, `${clock(refused.at)}: no identity for this process`)
  for (const why of state.why || []) explain({ ...why, entries: (why.entries || []).filter((entry) => !lacks(entry)) }, `a process of ${why.user}`)
  if (!parts.length) parts.push(el('p', {}, 'The registration entries are not known yet.'))
  $('why').replaceChildren(...parts)
}

function drawTrust() {
  const trust = state.trust || {}
  const cas = el('ul', {})
  for (const ca of trust.authorities || []) {
    cas.append(el('li', {}, el('span', { class: 'id' }, ca.id.slice(0, 8)), ` ${ca.state === 'active' ? 'ACTIVE: it signs' : ca.state}`))
  }
  const parts = [el('h3', {}, 'CAs of the SPIRE server'), cas.children.length ? cas : el('p', {}, 'not known')]
  for (const side of trust.sides || []) {
    const list = el('ul', {})
    for (const [domain, keys] of Object.entries(side.bundles || {})) {
      list.append(el('li', {}, `${domain}: `, el('span', { class: 'id' }, keys.map((key) => key.slice(0, 8) + (key === side.signed ? ' (its own)' : '')).join(', '))))
    }
    parts.push(el('h3', {}, `${side.user || 'a program'} trusts`), list)
  }
  $('trust').replaceChildren(...parts)
}

function drawTrace(trace) {
  const list = el('ol', {})
  for (const step of trace.steps || []) {
    const item = el('li', {}, el('strong', {}, `${step.by} ${step.by === 'client' ? '→' : '←'} ${step.message}`), step.encrypted ? ' (encrypted)' : '', el('div', {}, step.means))
    for (const detail of step.details || []) item.append(el('div', { class: 'id quiet' }, detail))
    list.append(item)
  }
  const end = el('p', { class: trace.refused || !trace.steps ? 'missing' : 'quiet' }, `as ${trace.as}: ${trace.end}`)
  $('steps').replaceChildren(end, list)
}

function take(update) {
  offset = new Date(update.now) - Date.now()
  if (update.state) state = update.state
  for (const row of update.rows || []) draw(row)
  if (update.missed) {
    const missed = $('missed')
    missed.dataset.count = Number(missed.dataset.count || 0) + update.missed
    missed.textContent = `${missed.dataset.count} rows came too fast and are not shown`
    missed.hidden = false
  }
  if (update.trace) drawTrace(update.trace)
  drawState()
}

// hold keeps the latest of what comes while the page is paused, as much as the page shows.
function hold(update) {
  for (const row of update.rows || []) {
    paused.rows.delete(row.number)
    paused.rows.set(row.number, row)
    if (paused.rows.size > most) paused.rows.delete(paused.rows.keys().next().value)
  }
  paused.missed += update.missed || 0
  paused.state = update.state || paused.state
  paused.trace = update.trace || paused.trace
  paused.now = update.now
}

function clear() {
  for (const { item } of rows.values()) item.remove()
  rows.clear()
}

// follow takes what the console sends. At each connection it sends all that it has.
function follow() {
  const events = new EventSource(address('events'))
  let fresh = true
  const broke = () => {
    lost = lost || Date.now()
    drawHealth()
    events.close()
    setTimeout(follow, 1000)
  }
  const watch = setInterval(() => {
    if (events.readyState === EventSource.CLOSED) clearInterval(watch)
    else if (Date.now() - heard > 20000) { // it sends something every 5 s
      clearInterval(watch)
      broke()
    }
  }, 1000)
  events.onopen = () => { heard = Date.now() }
  events.onmessage = (message) => {
    heard = Date.now()
    lost = 0
    const update = JSON.parse(message.data)
    if (paused) {
      if (fresh) Object.assign(paused, { rows: new Map(), clear: true })
      hold(update)
      drawHealth()
    } else {
      if (fresh) clear()
      take(update)
    }
    fresh = false
  }
  events.onerror = broke
}

function choose(tab) {
  for (const other of document.querySelectorAll('[role="tab"]')) {
    const selected = other.id === `tab-${tab}`
    other.setAttribute('aria-selected', selected)
    other.tabIndex = selected ? 0 : -1
    $(other.getAttribute('aria-controls')).hidden = !selected
  }
}

function move(by) {
  const visible = [...$('rows').children].filter((item) => !item.hidden)
  if (!visible.length) return
  const index = chosen ? visible.indexOf(chosen) + by : 0
  if (chosen) chosen.classList.remove('chosen')
  chosen = visible[Math.max(0, Math.min(visible.length - 1, index))]
  chosen.classList.add('chosen')
  chosen.scrollIntoView({ block: 'nearest' })
  $('rows').focus()
  $('rows').setAttribute('aria-activedescendant', chosen.id)
}

function pause() {
  if (!paused) {
    paused = { rows: new Map(), missed: 0, now: new Date(Date.now() + offset).toISOString(), clear: false }
    $('paused').textContent = 'PAUSED: press f to resume'
    return
  }
  const update = { ...paused, rows: [...paused.rows.values()] }
  if (paused.clear) clear()
  paused = null
  $('paused').textContent = ''
  take(update)
}

function nextFilter() {
  filter = filters[(filters.indexOf(filter) + 1) % filters.length]
  $('filter-name').textContent = filter ? `(only: ${filter})` : ''
  for (const { row, item } of rows.values()) item.hidden = Boolean(filter) && row.verdict !== filter
}

function theme() {
  const root = document.documentElement
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = dark ? 'light' : 'dark'
}

const keys = {
  1: () => choose('who'), 2: () => choose('why'), 3: () => choose('trust'), 4: () => choose('handshake'),
  j: () => move(1), k: () => move(-1), f: pause, v: nextFilter, t: theme,
  '?': () => $('keys').showModal(),
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.key === 'Enter' && chosen && document.activeElement.tagName !== 'BUTTON' && document.activeElement.tagName !== 'A') {
    const why = chosen.querySelector('a')
    if (why) why.click()
    return
  }
  const tabs = ['who', 'why', 'trust', 'handshake']
  if (document.activeElement.getAttribute('role') === 'tab' && (event.key === 'ArrowRight' || event.key === 'ArrowLeft')) {
    const at = tabs.indexOf(document.activeElement.getAttribute('aria-controls')) + (event.key === 'ArrowRight' ? 1 : tabs.length - 1)
    choose(tabs[at % tabs.length])
    $(`tab-${tabs[at % tabs.length]}`).focus()
    return
  }
  const action = keys[event.key]
  if (action && !$('keys').open) {
    event.preventDefault()
    action()
  }
})
for (const tab of document.querySelectorAll('[role="tab"]')) tab.addEventListener('click', () => choose(tab.getAttribute('aria-controls')))
for (const button of document.querySelectorAll('[data-as]')) {
  button.addEventListener('click', async () => {
    $('steps').replaceChildren(el('p', {}, 'performing a handshake ...'))
    const answer = await fetch(address(`handshake/${button.dataset.as}`), { method: 'POST' }).catch((error) => ({ ok: false, text: () => `The console does not answer: ${error.message}` }))
    if (!answer.ok) $('steps').replaceChildren(el('p', {}, await answer.text()))
  })
}
setInterval(() => { if (paused) drawHealth(); else drawState() }, 1000)
follow()
