// Command browser looks at the lab's console as a trainer would, in a headless Chromium:
//
//	browser -url 'http://127.0.0.1:8089/?token=...' -shots DIR -scenario CMD -stop CMD -start CMD -feed CMD NAME...
//
// It runs the scenario of each NAME, and sees that each refusal on which the scenario insists is on the page; what
// it says while the SPIRE server is stopped; and that a line which somebody else had a say in is only text.
// Then it looks at the page itself: sizes, contrast, names, keys, and where its requests go. Each check is a
// line that begins with "ok" or "FAIL"; the exit status is 1 if one has failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// within is how long a refusal may take to the page before it counts as missing. How long it takes is told;
// that a busy machine is slow is no fault of the page.
const within = 20 * time.Second

// browser is a browser that looks at the page.
type browser struct {
	ctx    context.Context
	url    string
	proxy  *proxy
	shots  string
	failed bool

	scenario, stop, start, feed string // commands for sh: a scenario, whose name follows; the SPIRE server's end and return; and a line for a container's log

	mu       sync.Mutex
	errors   []string
	requests map[string]bool // origins
}

func main() {
	url := flag.String("url", "", "the console's `address`")
	shots := flag.String("shots", "", "`folder` for the screenshots")
	chromium := flag.String("chromium", "chromium", "`program` of the browser")
	scenario := flag.String("scenario", "", "`command` that runs the scenario whose name follows it")
	stop := flag.String("stop", "", "`command` that stops the SPIRE server")
	start := flag.String("start", "", "`command` that starts it")
	feed := flag.String("feed", "", "`command` that has a container of the lab log its standard input")
	flag.Parse()
	if *url == "" || *shots == "" || *scenario == "" || *stop == "" || *start == "" || *feed == "" {
		fmt.Fprintln(os.Stderr, "error: -url, -shots, -scenario, -stop, -start and -feed are needed")
		os.Exit(2)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(*chromium), chromedp.NoSandbox, chromedp.WindowSize(1280, 720))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // events that a newer browser has
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	between, address, err := behindProxy(*url)
	if err != nil {
		fmt.Println("FAIL the proxy:", err)
		os.Exit(1)
	}
	r := &browser{ctx: ctx, url: address, proxy: between, shots: *shots, scenario: *scenario, stop: *stop, start: *start, feed: *feed, requests: map[string]bool{}}
	if err := r.look(flag.Args()); err != nil {
		fmt.Println("FAIL the browser:", err)
		r.failed = true
	}
	if r.failed {
		cancel()
		os.Exit(1)
	}
}

func (r *browser) check(ok bool, what string, seen ...any) {
	if ok {
		fmt.Println("ok", what)
		return
	}
	r.failed = true
	fmt.Println("FAIL", what+":", fmt.Sprint(seen...))
}

func (r *browser) do(actions ...chromedp.Action) error { return chromedp.Run(r.ctx, actions...) }

// ask evaluates an expression; an error of the browser's is an empty answer, and fails the check that asks.
func ask[T any](r *browser, expression string) T {
	var answer T
	if err := r.do(chromedp.Evaluate(expression, &answer)); err != nil {
		fmt.Println("  the browser says:", err)
	}
	return answer
}

// soon waits until an expression is true.
func (r *browser) soon(expression string) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ask[bool](r, expression) {
			return true
		}
	}
	return false
}

func (r *browser) shot(name string) error {
	var png []byte
	if err := r.do(chromedp.CaptureScreenshot(&png)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.shots, name+".png"), png, 0o644)
}

func (r *browser) listen() {
	chromedp.ListenTarget(r.ctx, func(event any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			r.errors = append(r.errors, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				r.errors = append(r.errors, fmt.Sprintf("console.%s", e.Type))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				r.errors = append(r.errors, e.Entry.Text)
			}
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(e.Request.URL, "data:") {
				r.requests[origin.FindString(e.Request.URL)] = true
			}
		}
	})
}

var origin = regexp.MustCompile(`^\w+://[^/]+/`)

func (r *browser) look(scenarios []string) error {
	r.listen()
	if err := r.do(network.Enable(), log.Enable(), runtime.Enable(), chromedp.EmulateViewport(1280, 720), chromedp.Navigate(r.url+"&theme=dark")); err != nil {
		return err
	}
	r.check(r.soon(`document.getElementById('health').textContent === 'all is running'`), "the page says that all is running", ask[string](r, `document.getElementById('health').textContent`))
	r.check(r.soon(`document.querySelectorAll('#rows > li').length > 0`), "a page that comes late shows what was before")
	ask[any](r, `window.drawn = []`)

	for _, name := range scenarios {
		if err := r.play(name); err != nil {
			return err
		}
	}
	if len(scenarios) > 0 {
		r.delays()
	}
	r.check(ask[bool](r, ordered), "the rows are in the order of their times")
	if err := r.hostile(); err != nil {
		return err
	}
	if err := r.down(); err != nil {
		return err
	}
	if err := r.interrupted(); err != nil {
		return err
	}
	r.page()
	if err := r.keys(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.check(len(r.errors) == 0, "the browser's console has no error", strings.Join(r.errors, "; "))
	r.check(len(r.requests) == 1 && r.requests[origin.FindString(r.url)], "no request went to anywhere else", r.requests)
	return nil
}

// refusal is one on which a scenario insists: the words, and what the page must say about it.
type refusal struct{ words, verdict string }

var (
	handshake = regexp.MustCompile(`TLS handshake error from [^ ]+: (.*)$`)
	connect   = regexp.MustCompile(`^    Error connecting to "[^"]*": \w+ "[^"]*": (.*)$`)
	logs      = regexp.MustCompile(`^    ([a-z-]+) logs(?:, [0-9.]+ s later)?: (.*)$`)
	identity  = regexp.MustCompile(`msg="No identity issued".*unix:user:([a-z-]+)`)
	changing  = regexp.MustCompile(`(current time|->) .*$`)
)

// insisted reads what a scenario printed.
func insisted(out string) []refusal {
	var found []refusal
	add := func(reason, verdict string) {
		one := refusal{changing.ReplaceAllString(reason, ""), verdict}
		if !slices.Contains(found, one) {
			found = append(found, one)
		}
	}
	// by is the verdict on a reason that one side gives: an alert comes from the other.
	by := func(reason, one, other string) (string, bool) {
		if strings.HasPrefix(reason, "remote error: tls: ") {
			return "REFUSED by " + other, true
		}
		for _, nobody := range []string{"dial tcp", "EOF", "connection re", "timeout", "deadline", "canceled", "no such host", "lookup "} {
			if strings.Contains(reason, nobody) {
				return "", false
			}
		}
		return "REFUSED by " + one, true
	}
	for _, line := range strings.Split(out, "\n") {
		if m := connect.FindStringSubmatch(line); m != nil {
			if verdict, ok := by(m[1], "the client", "the server"); ok {
				add(m[1], verdict)
			}
			continue
		}
		m := logs.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if h := handshake.FindStringSubmatch(m[2]); h != nil {
			if verdict, ok := by(h[1], "the server", "the client"); ok {
				add(h[1], verdict)
			}
		} else if i := identity.FindStringSubmatch(m[2]); i != nil {
			add(i[1], "NO IDENTITY from the SPIRE agent")
		} else if strings.Contains(m[2], "agent is banned") || strings.Contains(m[2], "Agent is banned") {
			add("anned", "REFUSED by the SPIRE server")
		}
	}
	return found
}

func (r *browser) play(name string) error {
	before := ask[int](r, `Math.max(0, ...[...document.querySelectorAll('#rows > li')].map((item) => Number(item.id.slice(4))))`)
	command := exec.CommandContext(r.ctx, "sh", "-c", r.scenario+" "+name)
	out, err := command.CombinedOutput()
	if err != nil {
		fmt.Println(string(out))
		r.check(false, name+" passes while the browser looks", err)
		return nil
	}
	want := insisted(string(out))
	for _, one := range want {
		expression := fmt.Sprintf(`[...document.querySelectorAll('#rows > li.refused')].some((item) => {
			const text = item.textContent
			return (Number(item.id.slice(4)) > %d || /×/.test(text)) && text.includes(%q) && text.includes(%q)
		})`, before, one.words, one.verdict)
		r.check(r.soon(expression), fmt.Sprintf("%s: the page says %q, %s", name, one.words, one.verdict),
			ask[string](r, `[...document.querySelectorAll('#rows > li')].slice(0, 6).map((item) => item.textContent).join(' | ')`))
	}
	shown := ask[string](r, `document.getElementById('scenario').textContent`)
	r.check(r.soon(fmt.Sprintf(`document.getElementById('scenario').textContent.startsWith(%q)`, name+": PASS")), fmt.Sprintf("%s: its name stands at the top (%d refusals)", name, len(want)), shown)
	r.check(ask[bool](r, `document.querySelectorAll('#rows > li').length > 0 && document.getElementById('who').textContent !== ''`), name+": the page is not blank")
	if name == "bad-id" || name == "federation" {
		return r.shot(name)
	}
	return nil
}

// shell runs one of the commands.
func (r *browser) shell(command, input string) error {
	c := exec.CommandContext(r.ctx, "sh", "-c", command)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return nil
}

// hostile: what a peer puts into a log is text.
func (r *browser) hostile() error {
	const text = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`
	line := fmt.Sprintf("2026/11/25 12:00:00 http: TLS handshake error from 192.0.2.1:1: unexpected ID %s\x1b[31m\n", text)
	if err := r.shell(r.feed, line); err != nil {
		return err
	}
	r.check(r.soon(fmt.Sprintf(`[...document.querySelectorAll('#rows > li.refused')].some((item) => item.textContent.includes(%q))`, text)), "markup in a log is shown as text")
	r.check(ask[bool](r, `document.querySelector('#rows img, #rows script') === null && !document.title.includes('taken')`), "and does nothing")
	return nil
}

// interrupted: a page whose connection breaks says so, and goes on by itself.
func (r *browser) interrupted() error {
	const health = `document.getElementById('health').textContent`
	r.mu.Lock()
	before := len(r.errors)
	r.mu.Unlock()
	r.proxy.breaks(true)
	r.check(r.soon(health+`.startsWith('connection interrupted')`), "a short break of the connection is called a break", ask[string](r, health))
	r.check(r.soon(health+`.startsWith('NO ANSWER')`), "a long one is said aloud", ask[string](r, health))
	r.check(ask[bool](r, `document.querySelectorAll('#rows > li').length > 0`), "the rows are still there")
	if err := r.shot("interrupted"); err != nil {
		return err
	}
	r.proxy.breaks(false)
	r.check(r.soon(health+` === 'all is running'`), "the page goes on when it can", ask[string](r, health))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = r.errors[:before] // what was refused meanwhile
	return nil
}

// ordered is whether the rows are in the order of their times, the latest first.
const ordered = `(() => {
	const times = [...document.querySelectorAll('#rows > li time')].map((time) => new Date(time.dateTime).getTime())
	return times.length > 1 && times.every((time, i) => i === 0 || time <= times[i - 1])
})()`

// down: the page is at its best when something breaks.
func (r *browser) down() error {
	if err := r.shell(r.stop, ""); err != nil {
		return err
	}
	r.check(r.soon(`document.getElementById('health').textContent === 'DOWN: spire-server'`), "the page says that the SPIRE server is down", ask[string](r, `document.getElementById('health').textContent`))
	r.check(ask[bool](r, `document.querySelectorAll('#rows > li').length > 0 && document.getElementById('who').textContent.includes('spiffe://example.org/client')`), "and goes on showing who is who")
	r.check(r.soon(`document.getElementById('problems').textContent.includes('spire-server is exited')`), "and what it cannot tell", ask[string](r, `document.getElementById('problems').textContent`))
	if err := r.shot("down"); err != nil {
		return err
	}
	if err := r.shell(r.start, ""); err != nil {
		return err
	}
	r.check(r.soon(`document.getElementById('health').textContent === 'all is running'`), "and that it is back", ask[string](r, `document.getElementById('health').textContent`))
	return nil
}

// delays tells how long rows took from the log line to the page.
func (r *browser) delays() {
	times := ask[[]float64](r, `window.drawn.map((row) => row.drawn - new Date(row.at).getTime())`)
	if len(times) == 0 {
		r.check(false, "rows were drawn", "none")
		return
	}
	slices.Sort(times)
	median, p95 := times[len(times)/2], times[len(times)*95/100]
	r.check(median < 1000, fmt.Sprintf("from a log line to the page: median %.0f ms, 95 of 100 within %.0f ms, %d rows (goal 300 ms)", median, p95, len(times)), "half of them took over a second")
}

// page looks at what stands on it, in both themes.
func (r *browser) page() {
	for _, theme := range []string{"dark", "light"} {
		if err := r.do(chromedp.Navigate(r.url + "&theme=" + theme)); err != nil {
			r.check(false, "the page opens", err)
			return
		}
		r.check(r.soon(`document.querySelectorAll('#rows > li').length > 0`), "a page that was loaded anew has all of it")
		for _, tab := range []string{"1", "2", "3", "4"} {
			_ = r.do(chromedp.KeyEvent(tab))
			bad := ask[[]string](r, measure)
			r.check(len(bad) == 0, fmt.Sprintf("%s, part %s: text of 24 px and more, contrast of 7 and more, names on all controls", theme, tab), strings.Join(bad, "; "))
		}
		_ = r.do(chromedp.KeyEvent("1"))
		if err := r.shot("page-" + theme); err != nil {
			r.check(false, "a screenshot", err)
		}
	}
	_ = r.do(emulation.SetEmulatedVisionDeficiency(emulation.SetEmulatedVisionDeficiencyTypeAchromatopsia))
	_ = r.shot("greyscale")
	_ = r.do(emulation.SetEmulatedVisionDeficiency(emulation.SetEmulatedVisionDeficiencyTypeNone))
}

// measure returns what is too small, too faint or nameless. Contrast is that of WCAG 2.2 (1.4.6).
const measure = `(() => {
	const bad = []
	const parse = (color) => color.match(/[\d.]+/g).map(Number)
	const light = ([r, g, b]) => {
		const part = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4 }
		return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
	}
	const behind = (element) => {
		for (let e = element; e; e = e.parentElement) {
			const color = parse(getComputedStyle(e).backgroundColor)
			if (color.length < 4 || color[3] > 0) return color
		}
		return [255, 255, 255]
	}
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
	while (walk.nextNode()) {
		const element = walk.currentNode.parentElement
		if (!walk.currentNode.textContent.trim() || !element.checkVisibility() || element.closest('.heard')) continue
		const style = getComputedStyle(element)
		const what = element.tagName + ' "' + walk.currentNode.textContent.trim().slice(0, 30) + '"'
		if (parseFloat(style.fontSize) < 24) bad.push(what + ' is ' + style.fontSize)
		const [a, b] = [light(parse(style.color)), light(behind(element))].sort((x, y) => y - x)
		const contrast = (a + 0.05) / (b + 0.05)
		if (contrast < 7) bad.push(what + ' has a contrast of ' + contrast.toFixed(1))
	}
	for (const control of document.querySelectorAll('button, a, [role="tab"], [role="tabpanel"], [tabindex]')) {
		if (!control.checkVisibility()) continue
		const label = control.getAttribute('aria-labelledby')
		if (!(control.textContent.trim() || control.getAttribute('aria-label') || (label && document.getElementById(label)))) bad.push(control.outerHTML.slice(0, 60) + ' has no name')
	}
	if (document.documentElement.scrollWidth > innerWidth) bad.push('the page is wider than the screen')
	return [...new Set(bad)].slice(0, 10)
})()`

func (r *browser) keys() error {
	key := func(key string) {
		if err := r.do(chromedp.KeyEvent(key)); err != nil {
			r.check(false, "the key "+key, err)
		}
	}
	key("?")
	r.check(r.soon(`document.getElementById('keys').open`), "? lists the keys")
	key("\x1b")
	r.check(r.soon(`!document.getElementById('keys').open`), "Esc closes the list")
	for tab, part := range map[string]string{"1": "who", "2": "why", "3": "trust", "4": "handshake"} {
		key(tab)
		r.check(r.soon(fmt.Sprintf(`document.getElementById(%q).checkVisibility()`, part)), tab+" shows the part "+part)
	}
	key("f")
	r.check(r.soon(`document.getElementById('paused').textContent.includes('PAUSED')`), "f pauses the page")
	first := ask[string](r, `document.querySelector('#rows > li').outerHTML`)
	time.Sleep(6 * time.Second) // the running client is served every 5 s
	r.check(ask[string](r, `document.querySelector('#rows > li').outerHTML`) == first, "nothing moves on a paused page")
	r.check(ask[bool](r, `paused.rows.size > 0 && paused.rows.size <= most`), "what comes meanwhile is kept by row")
	key("f")
	r.check(r.soon(`document.getElementById('paused').textContent === ''`), "f resumes")
	before := ask[string](r, `JSON.stringify(['header', 'aside', '#connections'].map((part) => document.querySelector(part).getBoundingClientRect()))`)
	r.check(r.soon(fmt.Sprintf(`document.querySelector('#rows > li').outerHTML !== %q`, first)), "what came meanwhile is drawn")
	r.check(ask[string](r, `JSON.stringify(['header', 'aside', '#connections'].map((part) => document.querySelector(part).getBoundingClientRect()))`) == before, "nothing else moves when a row comes")

	// The handshake of the server's user, which the server refuses.
	key("4")
	_ = r.do(chromedp.Click(`[data-as="server-workload"]`, chromedp.ByQuery))
	r.check(r.soon(`document.getElementById('steps').textContent.includes('refused by the server: bad certificate')`), "a handshake is shown to where it stopped",
		ask[string](r, `document.getElementById('steps').textContent`))
	if err := r.shot("handshake"); err != nil {
		return err
	}
	r.check(r.soon(`[...document.querySelectorAll('#rows > li.refused')].some((item) => item.textContent.includes('unexpected ID "spiffe://example.org/server"'))`), "it is a row as well")

	key("v")
	r.check(r.soon(`[...document.querySelectorAll('#rows > li')].every((item) => item.hidden || item.classList.contains('refused'))`), "v leaves the refusals")
	key("j")
	key("\r")
	r.check(r.soon(`location.pathname.includes('/lesson/') && document.querySelector('h1') !== null`), "Enter opens the lesson", ask[string](r, `location.href`))
	bad := ask[[]string](r, measure)
	r.check(len(bad) == 0, "a lesson: text of 24 px and more, contrast of 7 and more", strings.Join(bad, "; "))
	return nil
}
