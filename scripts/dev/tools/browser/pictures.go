package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// expected has what the diagram must show for the recording of a scenario, in this order.
type expected struct {
	scenario string
	lines    []string // names in the accessibility tree, where "..." stands for any text. At a line "= NAME" a picture is taken
}

// readExpected reads pictures.txt. The console's Go tests read the same file.
func readExpected(name string) ([]expected, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all []expected
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t") && len(all) > 0:
			last := &all[len(all)-1]
			last.lines = append(last.lines, strings.TrimSpace(line))
		default:
			all = append(all, expected{scenario: line})
		}
	}
	return all, nil
}

func pattern(line string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, ".*") + "$")
}

// names is an expression for the accessible names of the diagram's parts.
const names = `[...document.querySelectorAll('#diagram [role="img"]')].map((part) => part.getAttribute('aria-label'))`

// replays shows each recording in the browser, and compares the diagram with the expected lines.
func (r *browser) replays(console, lab, recordings string, only []string) error {
	all, err := readExpected(filepath.Join(recordings, "pictures.txt"))
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("the file has no expected lines for the diagram")
	}
	r.listen()
	for _, one := range all {
		if len(only) > 0 && !strings.Contains(" "+strings.Join(only, " ")+" ", " "+one.scenario+" ") {
			continue
		}
		if err := r.replay(console, lab, filepath.Join(recordings, one.scenario+".jsonl"), one); err != nil {
			return fmt.Errorf("%s: %w", one.scenario, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.check(len(r.errors) == 0, "the browser's console has no error", strings.Join(r.errors, "; "))
	return nil
}

func (r *browser) replay(console, lab, recording string, want expected) error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	command := exec.CommandContext(ctx, console, "-dir", lab, "-no-open", "-port", "0", "-replay", recording, "serve")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	defer func() {
		_ = r.do(chromedp.Navigate("about:blank"))
		cancel()
		_ = command.Wait()
	}()
	scan := bufio.NewScanner(out)
	if !scan.Scan() {
		return fmt.Errorf("the console does not start")
	}
	r.url, _, _ = strings.Cut(scan.Text(), " ")
	if err := r.do(chromedp.EmulateViewport(1280, 720)); err != nil {
		return err
	}
	if err := r.open("&theme=light"); err != nil {
		return err
	}
	if !r.soon(`state && state.replay && picture !== null`) {
		return fmt.Errorf("the page shows nothing")
	}
	step, steps := 1, ask[int](r, `state.replay.steps`)
	if steps > 1 {
		if err := r.do(chromedp.Evaluate(drops, nil)); err != nil {
			return err
		}
		r.check(r.to(2) == nil && r.to(1) == nil, want.scenario+": a request that the browser drops is sent again")
	}
	for _, line := range want.lines {
		if name, ok := strings.CutPrefix(line, "= "); ok {
			if err := r.picture(name); err != nil {
				return err
			}
			continue
		}
		expression := pattern(line)
		said := func() bool {
			for _, name := range ask[[]string](r, names) {
				if expression.MatchString(name) {
					return true
				}
			}
			return false
		}
		for !said() && step < steps {
			step++
			if err := r.to(step); err != nil {
				return err
			}
		}
		tree, err := r.tree()
		if err != nil {
			return err
		}
		found := false
		for _, name := range tree {
			found = found || expression.MatchString(name)
		}
		r.check(found, fmt.Sprintf("%s, step %d of %d: %s", want.scenario, step, steps, line), strings.Join(tree, " | "))
		bad := ask[[]string](r, drawn)
		r.check(len(bad) == 0, fmt.Sprintf("%s, step %d: each sign is at the side that refuses, and each text is in its box", want.scenario, step), strings.Join(bad, "; "))
		if !found {
			return nil
		}
	}
	return nil
}

// drops is an expression that makes the next request of the page fail, as when a network interface changes.
const drops = `{ const real = fetch; window.fetch = () => { window.fetch = real; return Promise.reject(new TypeError('Failed to fetch')) } }`

func (r *browser) to(step int) error {
	if err := r.do(chromedp.Evaluate(fmt.Sprintf(`ask(%d)`, step), nil)); err != nil {
		return err
	}
	if !r.soon(fmt.Sprintf(`state.replay.step === %d`, step)) {
		return fmt.Errorf("step %d is not shown", step)
	}
	return nil
}

// tree returns the names of all images in the browser's accessibility tree.
func (r *browser) tree() ([]string, error) {
	// The package accessibility cannot parse the answers of newer browsers, so this code parses them itself.
	var answer struct {
		Nodes []struct {
			Ignored bool `json:"ignored"`
			Role    struct {
				Value any `json:"value"`
			} `json:"role"`
			Name struct {
				Value any `json:"value"`
			} `json:"name"`
		} `json:"nodes"`
	}
	err := r.do(chromedp.ActionFunc(func(ctx context.Context) error {
		return cdp.Execute(ctx, accessibility.CommandGetFullAXTree, nil, &answer)
	}))
	var all []string
	for _, node := range answer.Nodes {
		if name, ok := node.Name.Value.(string); ok && !node.Ignored && (node.Role.Value == "image" || node.Role.Value == "img") {
			all = append(all, name)
		}
	}
	return all, err
}

// drawn is an expression that lists the errors in the diagram: a refused arrow without a stop sign, a stop sign on an arrow that is not
// refused, a stop sign that is not near the side that refused, and a text that leaves its box.
const drawn = `(() => {
	const bad = []
	const middle = (element) => { const b = element.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] }
	const apart = (from, cell) => {
		const box = document.querySelector('#diagram [data-cell="' + cell + '"] rect')
		if (!box) return Infinity
		const b = box.getBoundingClientRect(), [x, y] = from
		return Math.hypot(Math.max(b.left - x, 0, x - b.right), Math.max(b.top - y, 0, y - b.bottom))
	}
	for (const arrow of picture.arrows) {
		const drawn = document.querySelector('#diagram .arrow[data-arrow="' + arrow.id + '"]')
		if (!drawn) { bad.push(arrow.id + ' is not drawn'); continue }
		const sign = drawn.querySelector('.sign')
		if ((arrow.verdict === 'refused') !== Boolean(sign)) { bad.push(arrow.id + ' is ' + arrow.verdict + (sign ? ' with' : ' without') + ' a sign'); continue }
		if (!sign) continue
		const other = arrow.refuser === arrow.from ? arrow.to : arrow.from
		if (apart(middle(sign), arrow.refuser) > 40 || apart(middle(sign), arrow.refuser) > apart(middle(sign), other)) bad.push('the sign of ' + arrow.id + ' is not at ' + arrow.refuser)
	}
	for (const text of document.querySelectorAll('#diagram .box text, #diagram .headline text')) {
		const a = text.getBoundingClientRect(), b = text.parentElement.querySelector('rect').getBoundingClientRect()
		if (a.left < b.left - 2 || a.right > b.right + 2 || a.top < b.top - 4 || a.bottom > b.bottom + 4) bad.push('"' + text.textContent + '" leaves its box')
	}
	return bad
})()`

// pointing is an expression that clicks on each arrow. Each click must select the arrow's row, and mark no other arrow. At the end no row
// is selected.
const pointing = `(() => {
	const good = picture.arrows.filter((arrow) => arrow.row && !arrow.dashed).every((arrow) => {
		document.querySelector('#diagram .arrow[data-arrow="' + arrow.id + '"] .hit').dispatchEvent(new MouseEvent('click', { bubbles: true }))
		const shown = document.querySelectorAll('#diagram .arrow.chosen')
		return chosen && chosen.dataset.arrow === arrow.id && chosen.classList.contains('chosen') && shown.length === 1 && shown[0].dataset.arrow === arrow.id
	})
	if (chosen) chosen.classList.remove('chosen')
	chosen = null
	point('')
	return good
})()`

func (r *browser) picture(name string) error {
	for _, theme := range []string{"light", "dark"} {
		if err := r.do(chromedp.Evaluate(fmt.Sprintf(`document.documentElement.dataset.theme = %q; drawPicture(engineNow())`, theme), nil)); err != nil {
			return err
		}
		bad := ask[[]string](r, measure)
		r.check(len(bad) == 0, fmt.Sprintf("picture %s, %s: text of 24 px and more, contrast of 7 and more, names on all controls", name, theme), strings.Join(bad, "; "))
		if err := r.shot("picture-" + name + "-" + theme); err != nil {
			return err
		}
	}
	r.check(ask[bool](r, pointing), "picture "+name+": a row and its arrow point to each other")
	r.check(ask[bool](r, `(() => { const s = document.getElementById('scenario'); return s.textContent !== '' && s.scrollHeight <= s.clientHeight && s.scrollWidth <= s.clientWidth })()`),
		"picture "+name+": the sentence of the step is not cut off")
	for motion, want := range map[string]string{"no-preference": "true", "reduce": "false"} {
		if err := r.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: motion}})); err != nil {
			return err
		}
		r.check(ask[bool](r, `(() => { const served = picture.arrows.find((arrow) => arrow.verdict === 'served')
			document.getAnimations().forEach((one) => one.cancel())
			if (served) pulse(served.id)
			return !served || (document.getAnimations().length > 0) === `+want+` })()`), fmt.Sprintf("picture %s: with the motion %q a request moves: %s", name, motion, want))
	}
	if err := r.lesson(name); err != nil {
		return err
	}
	_ = r.do(emulation.SetEmulatedVisionDeficiency(emulation.SetEmulatedVisionDeficiencyTypeAchromatopsia))
	err := r.shot("picture-" + name + "-greyscale")
	_ = r.do(emulation.SetEmulatedVisionDeficiency(emulation.SetEmulatedVisionDeficiencyTypeNone))
	return err
}

// most is the largest size of a picture for a lesson, in bytes.
const most = 60 << 10

// lesson makes the picture for a lesson, in the light theme. The picture shows the sentence of the step and the diagram. A small palette
// keeps the file small.
func (r *browser) lesson(name string) error {
	if err := r.do(chromedp.Evaluate(`document.documentElement.dataset.theme = 'light'; drawPicture(engineNow()); for (const part of document.querySelectorAll('#status, h1')) part.hidden = true`, nil)); err != nil {
		return err
	}
	height := ask[float64](r, `document.getElementById('picture').getBoundingClientRect().bottom`)
	var shot []byte
	err := r.do(chromedp.ActionFunc(func(ctx context.Context) error {
		var err error
		shot, err = page.CaptureScreenshot().WithClip(&page.Viewport{Width: 1280, Height: height, Scale: 1}).Do(ctx)
		return err
	}), chromedp.Evaluate(`for (const part of document.querySelectorAll('#status, h1')) part.hidden = false`, nil))
	if err != nil {
		return err
	}
	full, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return err
	}
	few := image.NewPaletted(full.Bounds(), palette(full))
	draw.Draw(few, few.Bounds(), full, image.Point{}, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few); err != nil {
		return err
	}
	r.check(out.Len() <= most, fmt.Sprintf("the lesson's picture %s has %d KB, not over 60", name, out.Len()>>10), out.Len())
	return os.WriteFile(filepath.Join(r.shots, "lesson-"+name+".png"), out.Bytes(), 0o644)
}

func palette(full image.Image) color.Palette {
	count := map[color.RGBA]int{}
	for y := full.Bounds().Min.Y; y < full.Bounds().Max.Y; y++ {
		for x := full.Bounds().Min.X; x < full.Bounds().Max.X; x++ {
			count[color.RGBAModel.Convert(full.At(x, y)).(color.RGBA)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int { return count[b] - count[a] })
	var some color.Palette
	for _, c := range colors[:min(len(colors), 64)] {
		some = append(some, c)
	}
	return some
}
