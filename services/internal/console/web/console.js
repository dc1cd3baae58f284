'use strict'
// This script shows what the console sends. It inserts every text from a log as text, never as HTML.
const $ = (id) => document.getElementById(id)
const most = 500
const rows = new Map() // by the number of the row: {row, item}
let paused = null // while the page is paused: the data that has come since then
let lost = 0 // the time at which the stream of events broke, or 0
let heard = Date.now() // the time at which the last event came
let filter = ''
let chosen = null
let state = null
let offset = 0 // the engine's clock minus the browser's clock
const filters = ['', 'refused', 'not reached', 'served', 'happened']
const signs = { served: '✓', refused: '✗', 'not reached': '…', happened: '·' }
const token = new URLSearchParams(location.search).get('token') || ''
// For measurements: the time at which each row was first drawn.
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

const shortID = (id) => (id || '').replace('spiffe://example.org/', '/')
const name = (party) => party.name || party.where || shortID(party.id) || 'somebody'

// where returns what the name of a party does not show: its user and container, and its SPIFFE ID if this differs from the name.
function where(party) {
  const place = [party.user && !/^(spire|partner|impostor|host-b)/.test(party.where || '') && party.user.replace('-workload', '') !== party.name ? party.user : '',
    party.where && party.where !== party.name && !/^SPIRE/.test(party.name || '') ? party.where : ''].filter(Boolean).join(' in ')
  const id = shortID(party.id)
  return [place, id && id !== `/${party.name}` && !/^SPIRE/.test(party.name || '') ? `as ${id}` : ''].filter(Boolean).join(' ')
}

const plain = (who) => (who || '').replace(/^the /, '')

function verdict(row) {
  if (row.verdict === 'refused' && row.refusedBy === 'the SPIRE agent' && row.to.where === 'spire-agent') return 'NO IDENTITY'
  if (row.verdict === 'refused') return `REFUSED by ${plain(row.refusedBy)}`
  if (row.verdict === 'happened') return ''
  return row.verdict
}

// words returns the message of one side, without the parts that are elsewhere in the row.
const words = (text) => text.replace(/^TLS handshake error from \S+: /, '').replace(/^Error connecting to "[^"]*": \w+ "[^"]*": /, '')
  .replace(/serial (\w{8})\w+/g, 'serial $1…').replace(/-> (\w{8})\w+/g, '-> $1…')

function draw(row) {
  const known = rows.get(row.number)
  const item = known ? known.item : el('li', { id: `row-${row.number}` })
  const shown = verdict(row)
  const head = row.verdict === 'happened'
    ? [el('span', {}, row.sentence || `${name(row.from)} ${words(row.said[0].text)}`)]
    : [el('span', { class: 'who' }, `${name(row.from)} → ${name(row.to)}`), ' ', el('span', { class: 'verdict' }, shown)]
  if (row.count > 1) head.push(el('span', { class: 'count' }, ` ×${row.count}`))
  if (row.lesson && row.verdict !== 'happened' && row.verdict !== 'served') head.push(' ', el('a', { href: lessonAddress(row.lesson) }, `why: ${row.lesson}`))
  item.className = row.verdict === 'not reached' ? 'unreached' : row.verdict
  item.dataset.arrow = row.arrow || ''
  item.replaceChildren(
    el('time', { datetime: row.at }, clock(row.at)),
    el('span', { 'aria-hidden': 'true' }, signs[row.verdict]),
    el('span', {}, ...head))
  if (row.verdict !== 'happened') {
    const differ = [where(row.from), ['another server', 'impostor'].includes(row.to.name) ? where(row.to) : ''].filter(Boolean).join(' → ')
    if (differ && row.verdict !== 'served' && !row.why) item.append(el('span', { class: 'words' }, differ))
  }
  if (row.verdict !== 'happened' && row.verdict !== 'served') {
    for (const said of row.said || []) {
      const missing = row.why && row.why.selectors ? row.sentence.replace(/^.*?: /, ': ') : ''
      item.append(el('span', { class: 'words' }, `${plain(said.who)}: ${words(said.text)}${missing}`))
    }
  }
  item.hidden = Boolean(filter) && row.verdict !== filter
  rows.delete(row.number)
  rows.set(row.number, { row, item })
  place(item, row)
  if (row.verdict === 'served' && row.arrow) pulses.add(row.arrow)
  if (known) return
  window.drawn.push({ number: row.number, at: row.at, drawn: Date.now(), verdict: row.verdict })
  if (window.drawn.length > 5000) window.drawn.splice(0, 1000)
  if (rows.size > most) {
    const oldest = $('rows').lastElementChild
    rows.delete(Number(oldest.id.slice('row-'.length)))
    oldest.remove()
  }
  if (row.sentence && row.verdict !== 'served') sayings.push(row.sentence)
}

const pulses = new Set() // the arrows on which requests have moved since the page was last drawn
const sayings = [] // sentences that a screen reader still has to read

// place puts a row above all rows with an earlier time.
function place(item, row) {
  const at = new Date(row.at).getTime()
  const after = (other) => other.at === at ? other.number > row.number : other.at > at
  item.order = { at, number: row.number }
  item.remove()
  let next = $('rows').firstElementChild
  while (next && after(next.order)) next = next.nextElementSibling
  $('rows').insertBefore(item, next)
}

// address returns the address of a part of the page. The address is relative, because a proxy may have put a path before it.
const address = (path) => `${path}?token=${encodeURIComponent(token)}`

function lessonAddress(lesson) {
  const theme = document.documentElement.dataset.theme
  return address(`lesson/${encodeURIComponent(lesson)}`) + (theme ? `&theme=${theme}` : '')
}

// drawHealth shows which parts of the lab are down, or that the page gets no events.
function drawHealth() {
  if (state && state.replay && !lost) {
    $('health').textContent = 'RECORDING'
    return
  }
  const silent = lost ? Math.round((Date.now() - lost) / 1000) : 0
  let words = 'all is running'
  if (silent > 15) words = `NO ANSWER for ${silent} s: check that scripts/lab console runs`
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
  const sentence = scenario
    ? `${scenario.name}: ${scenario.ended || scenario.step || scenario.expectation}` : ''
  if ($('scenario').textContent !== sentence) $('scenario').textContent = sentence
  drawReplay()
  const problems = (state.problems || []).join('; ')
  if ($('problems').textContent !== problems) $('problems').textContent = problems
  $('problems').hidden = !problems
  $('none').hidden = rows.size > 0
  drawWho()
  drawWhy()
  drawTrust()
}

function drawReplay() {
  const replay = state.replay
  $('replay').hidden = !replay
  $('replay').parentElement.classList.toggle('replays', Boolean(replay))
  if (!replay) return
  $('step').textContent = `${replay.step} of ${replay.steps}`
  document.querySelector('[data-to="play"]').textContent = replay.playing ? 'stop' : 'play'
}

// engineNow returns the time of the engine's clock. In a recording this time stands still between two events.
const engineNow = () => state && state.replay && !state.replay.playing ? new Date(latest).getTime() : Date.now() + offset
let latest = 0

// post sends a request to the console. If a network interface changes, as at each start of a container, Chromium drops the requests that it
// has not sent yet (net::ERR_NETWORK_CHANGED). So post repeats a request that gets no answer.
async function post(path, attempts = 5) {
  try {
    return await fetch(address(path), { method: 'POST' })
  } catch (error) {
    if (attempts === 1) return { ok: false, text: () => `The console does not answer: ${error.message}` }
  }
  await new Promise((resolve) => setTimeout(resolve, 300))
  return post(path, attempts - 1)
}

const ask = (to) => post(`replay/${to}`)

function drawWho() {
  const now = engineNow()
  const programs = el('div', { class: 'host' }, el('h3', {}, 'one host'))
  const others = el('div', {})
  for (const who of state.who || []) {
    if (who.service === 'node') continue
    const box = el('div', {}, el('strong', {}, who.service))
    if (who.user && !/^spire/.test(who.service)) box.append(` as ${who.user}`)
    if (who.status !== 'running') box.append(' ', el('span', { class: 'stopped' }, who.status))
    if (who.svid) {
      const left = Math.round((new Date(who.svid.expires) - now) / 1000)
      const fresh = recent(who.svid.since, now)
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

// value shows a selector or another long text. If it has a hash, the hash is shortened, and a button copies the whole text.
function value(text, before) {
  const hash = text.match(/[0-9a-f]{40,}/)
  const item = el('li', { class: 'id' }, before ? el('span', { class: before === 'has' ? '' : 'missing' }, before) : '', before ? ' ' : '', hash ? text.replace(hash[0], `${hash[0].slice(0, 8)}…`) : text)
  if (hash) {
    const copy = el('button', { type: 'button', class: 'copy', 'aria-label': `copy ${text}` }, 'copy')
    copy.addEventListener('click', () => navigator.clipboard.writeText(text).then(() => { copy.textContent = 'copied' }, () => { copy.replaceWith(el('span', { class: 'id' }, ` ${text}`)) }))
    item.append(' ', copy)
  }
  return item
}

let explained = '' // the data that the tab Why shows now, so that only a change draws the tab again

function drawWhy() {
  const refused = [...rows.values()].map((known) => known.row).filter((row) => row.why && row.why.selectors).sort((a, b) => a.number - b.number).pop()
  const now = JSON.stringify([state.why, refused && refused.number, refused && refused.why])
  if (now === explained) return
  explained = now
  const parts = []
  const explain = (why, title) => {
    const entries = why.entries || []
    const matching = entries.filter((entry) => !lacks(entry))
    const list = el('ul', {})
    for (const selector of why.selectors || []) list.append(value(selector))
    parts.push(el('h3', {}, title))
    if (!matching.length) parts.push(el('p', {}, el('span', { class: 'missing' }, 'NO ENTRY MATCHES')))
    for (const entry of matching) parts.push(el('p', {}, `entry ${entry.id} matches: ${entry.spiffeID}`))
    parts.push(el('p', {}, 'the agent sees:'), list)
    for (const entry of matching.length ? matching : entries) {
      const wants = el('ul', {})
      wants.append(value(`parent ${entry.parent}`, entry.undelivered ? 'WRONG' : 'has'))
      for (const selector of entry.selectors) wants.append(value(selector, (entry.missing || []).includes(selector) ? 'MISSING' : 'has'))
      const verdict = entry.undelivered ? "is not delivered to this host's agent" : lacks(entry) ? 'does not match' : 'requires'
      parts.push(el('p', {}, `entry ${entry.id} ${verdict}:`), wants)
    }
  }
  for (const why of state.why || []) explain(why, `now: a process of ${why.user}`)
  if (refused) explain(refused.why, `${clock(refused.at)}: no identity for a process${refused.why.user ? ` of ${refused.why.user}` : ''}`)
  if (!parts.length) parts.push(el('p', {}, 'The registration entries are not known yet.'))
  $('why').replaceChildren(...parts)
}

function drawTrust() {
  const trust = state.trust || {}
  const cas = el('ul', {})
  for (const ca of trust.authorities || []) {
    cas.append(el('li', {}, el('span', { class: 'id' }, ca.id.slice(0, 8)), ` ${ca.state === 'active' ? 'ACTIVE: signs new SVIDs' : ca.state}`))
  }
  const parts = [el('h3', {}, 'CAs of the SPIRE server'), cas.children.length ? cas : el('p', {}, 'not known')]
  for (const side of trust.sides || []) {
    const list = el('ul', {})
    for (const [domain, keys] of Object.entries(side.bundles || {})) {
      list.append(el('li', {}, `${domain}: `, el('span', { class: 'id' }, keys.map((key) => key.slice(0, 8) + (key === side.signed ? ' (signed its SVID)' : '')).join(', '))))
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
  latest = update.now
  if (update.fresh) clear()
  offset = new Date(update.now) - Date.now()
  if (update.state) state = update.state
  for (const row of update.rows || []) draw(row)
  if (update.missed) {
    const missed = $('missed')
    missed.dataset.count = Number(missed.dataset.count || 0) + update.missed
    missed.textContent = `${missed.dataset.count} events came too fast, and their rows are missing. The diagram shows the latest state.`
    missed.hidden = false
  }
  if (update.trace) drawTrace(update.trace)
  if (update.picture) {
    picture = update.picture
    drawPicture(engineNow())
  }
  for (const id of pulses) pulse(id)
  pulses.clear()
  if (sayings.length) $('heard').textContent = sayings.splice(0).slice(-3).join('. ')
  drawState()
}

// hold keeps the latest data while the page is paused. It keeps at most as many rows as the page can show.
function hold(update) {
  for (const row of update.rows || []) {
    paused.rows.delete(row.number)
    paused.rows.set(row.number, row)
    if (paused.rows.size > most) paused.rows.delete(paused.rows.keys().next().value)
  }
  paused.missed += update.missed || 0
  paused.state = update.state || paused.state
  paused.trace = update.trace || paused.trace
  paused.picture = update.picture || paused.picture
  if (update.fresh) Object.assign(paused, { clear: true, rows: new Map((update.rows || []).map((row) => [row.number, row])) })
  paused.now = update.now
}

function clear() {
  for (const { item } of rows.values()) item.remove()
  rows.clear()
}

// follow receives the console's events. The first event of each connection has all data.
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
    else if (Date.now() - heard > 20000) { // the console sends something every 5 s
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

function open(tab) {
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
  choose(visible[Math.max(0, Math.min(visible.length - 1, index))])
}

// choose marks a row and its arrow.
function choose(item) {
  if (chosen) chosen.classList.remove('chosen')
  chosen = item
  chosen.classList.add('chosen')
  point(chosen.dataset.arrow)
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
  1: () => open('who'), 2: () => open('why'), 3: () => open('trust'), 4: () => open('handshake'),
  j: () => move(1), k: () => move(-1),
  ArrowLeft: () => state && state.replay && ask('back'), ArrowRight: () => state && state.replay && ask('next'), ' ': () => state && state.replay && ask('play'), f: pause, v: nextFilter, t: theme,
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
    open(tabs[at % tabs.length])
    $(`tab-${tabs[at % tabs.length]}`).focus()
    return
  }
  if (event.key === ' ' && document.activeElement.tagName === 'BUTTON') return
  const action = keys[event.key]
  if (action && !$('keys').open) {
    event.preventDefault()
    action()
  }
})
for (const tab of document.querySelectorAll('[role="tab"]')) tab.addEventListener('click', () => open(tab.getAttribute('aria-controls')))
for (const button of document.querySelectorAll('[data-as]')) {
  button.addEventListener('click', async () => {
    $('steps').replaceChildren(el('p', {}, 'performing a handshake ...'))
    const answer = await post(`handshake/${button.dataset.as}`)
    if (!answer.ok) $('steps').replaceChildren(el('p', {}, await answer.text()))
  })
}
for (const button of document.querySelectorAll('[data-to]')) button.addEventListener('click', () => ask(button.dataset.to))

// When the mouse is over a row, the row's arrow is marked. A click on an arrow selects its row.
$('rows').addEventListener('mouseover', (event) => point((event.target.closest('li') || { dataset: {} }).dataset.arrow))
$('rows').addEventListener('mouseleave', () => point(chosen ? chosen.dataset.arrow : ''))
$('diagram').addEventListener('click', (event) => {
  const arrow = event.target.closest('[data-arrow]')
  const item = arrow && ([...$('rows').children].find((row) => row.id === `row-${arrow.dataset.row}`) || [...$('rows').children].find((row) => row.dataset.arrow === arrow.dataset.arrow))
  if (!item) return
  item.hidden = false
  choose(item)
})

setInterval(() => {
  if (paused) return drawHealth()
  drawState()
  tick(engineNow())
}, 1000)
follow()
