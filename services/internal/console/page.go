package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"time"
)

//go:embed web
var web embed.FS

// Page is what browsers see.
type Page struct {
	hub   *Hub
	mux   *http.ServeMux
	hosts map[string]bool
	asked chan string // users for whom a handshake is wanted
}

// NewPage returns the page of a hub, which browsers find on this port of the machine they run on.
func NewPage(hub *Hub, port int) (*Page, error) {
	p := &Page{hub: hub, mux: http.NewServeMux(), asked: make(chan string, 1), hosts: map[string]bool{
		fmt.Sprintf("127.0.0.1:%d", port): true, fmt.Sprintf("localhost:%d", port): true,
	}}
	p.mux.HandleFunc("GET /{$}", p.index)
	p.mux.HandleFunc("GET /events", p.events)
	p.mux.HandleFunc("GET /lesson/{name}", p.lesson)
	p.mux.HandleFunc("POST /handshake/{as}", p.handshake)
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"} {
		content, err := web.ReadFile("web/" + name)
		if err != nil {
			return nil, err
		}
		p.mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(content)
		})
	}
	return p, nil
}

// ServeHTTP answers browsers that ask for this machine, and for nothing else: a page of somebody else's,
// whose name leads here, gets nothing (DNS rebinding).
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.hosts[r.Host] {
		http.Error(w, "this is the console of a lab on this machine: ask for it by 127.0.0.1", http.StatusMisdirectedRequest)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

func (p *Page) index(w http.ResponseWriter, r *http.Request) {
	write(w, r, "web/index.html", "{{project}}", html.EscapeString(p.hub.project))
}

// write writes a page, in which it replaces each name by the HTML that comes behind it. (Package html/template would
// make the program lab larger by a quarter.)
func write(w http.ResponseWriter, r *http.Request, file string, replacements ...string) {
	page, err := web.ReadFile(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	theme := "" // as the machine has it
	if given := r.URL.Query().Get("theme"); given == "light" || given == "dark" {
		theme = ` data-theme="` + given + `"`
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = strings.NewReplacer(append(replacements, "{{theme}}", theme)...).WriteString(w, string(page))
}

// events are server-sent events: everything there is, then each change.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	b := p.hub.join()
	defer p.hub.leave(b)
	alive := time.NewTicker(5 * time.Second)
	defer alive.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-alive.C:
		case <-b.wake:
		}
		data, err := json.Marshal(p.hub.take(b, time.Now()))
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil || out.Flush() != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // see backlog
	}
}

// handshake asks for one to be done. Another origin's page may not.
func (p *Page) handshake(w http.ResponseWriter, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "http://"+r.Host {
		http.Error(w, "only the console's own page may ask for a handshake", http.StatusForbidden)
		return
	}
	as := r.PathValue("as")
	if as != "client-workload" && as != "server-workload" && as != "nobody" {
		http.Error(w, "as client-workload, server-workload or nobody", http.StatusBadRequest)
		return
	}
	select {
	case p.asked <- as:
		w.WriteHeader(http.StatusAccepted)
	default:
		http.Error(w, "one is under way", http.StatusConflict)
	}
}

// block is a part of a lesson: a heading, code, a row of a table, or text.
type block struct{ Kind, Text string }

var link = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)

// blocks takes apart the little of Markdown that the lessons use.
func blocks(text string) []block {
	var found []block
	code := false
	add := func(kind, line string, join bool) {
		if n := len(found); join && n > 0 && found[n-1].Kind == kind && found[n-1].Text != "" {
			separator := "\n"
			if kind == "text" {
				separator = " "
			}
			found[n-1].Text += separator + line
			return
		}
		found = append(found, block{kind, line})
	}
	for _, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			code = !code
			if code {
				found = append(found, block{"code", ""})
			}
		case code:
			if last := &found[len(found)-1]; last.Text == "" {
				last.Text = line
			} else {
				last.Text += "\n" + line
			}
		case strings.HasPrefix(line, "#"):
			add("heading", strings.TrimLeft(line, "# "), false)
		case strings.HasPrefix(line, "|"):
			add("table", line, true)
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "1. "):
			found = append(found, block{"text", link.ReplaceAllString(line, "$1")})
		case strings.TrimSpace(line) == "":
			found = append(found, block{"text", ""})
		default:
			add("text", link.ReplaceAllString(strings.TrimSpace(line), "$1"), true)
		}
	}
	return found
}

func (p *Page) lesson(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	text, ok := p.hub.lesson(name)
	if !ok {
		http.Error(w, fmt.Sprintf("there is no lesson %q", name), http.StatusNotFound)
		return
	}
	var body strings.Builder
	for _, b := range blocks(text) {
		switch {
		case b.Kind == "heading":
			fmt.Fprintf(&body, "<h2>%s</h2>\n", html.EscapeString(b.Text))
		case b.Kind == "code" || b.Kind == "table":
			fmt.Fprintf(&body, "<pre tabindex=\"0\">%s</pre>\n", html.EscapeString(b.Text))
		case b.Text != "":
			fmt.Fprintf(&body, "<p>%s</p>\n", html.EscapeString(b.Text))
		}
	}
	write(w, r, "web/lesson.html", "{{name}}", html.EscapeString(name), "{{blocks}}", body.String())
}
