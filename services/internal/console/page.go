package console

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	gmtext "github.com/yuin/goldmark/text"
)

//go:embed web
var web embed.FS

// Page is the page that browsers show. Its links are relative, so the page also works if it is forwarded to a different address or path
// (ssh -L, Codespaces, a reverse proxy).
type Page struct {
	hub     *Hub
	token   string
	lessons fs.FS // NAME.md for each scenario
	mux     *http.ServeMux
	asked   chan string      // clients for which a handshake is requested; nil if there is no lab
	clock   func() time.Time // of the engine
}

// NewPage returns the page of a hub, for browsers that know the token.
func NewPage(hub *Hub, token string, lessons fs.FS) (*Page, error) {
	p := &Page{hub: hub, token: token, lessons: lessons, mux: http.NewServeMux(), asked: make(chan string, 1), clock: time.Now}
	p.mux.HandleFunc("GET /{$}", p.guarded(p.index))
	p.mux.HandleFunc("GET /events", p.guarded(p.events))
	p.mux.HandleFunc("GET /lesson/{name}", p.guarded(p.lesson))
	p.mux.HandleFunc("POST /handshake/{as}", p.guarded(p.handshake))
	p.mux.HandleFunc("POST /trace/{as}", p.guarded(p.trace))
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "diagram.js": "text/javascript; charset=utf-8"} {
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

// known matches the end of each path of the page. A prefix that a proxy has not removed is ignored.
var known = regexp.MustCompile(`/(?:events|style\.css|console\.js|diagram\.js|(?:lesson|handshake|trace|replay)/[^/]*)?$`)

// ServeHTTP answers under any host name. The token proves that the sender of a request may see the page. A page of another site does not
// know the token.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the address has the token
	h.Set("Cache-Control", "no-store")
	r.URL.Path, r.URL.RawPath = known.FindString(r.URL.Path), ""
	if r.URL.Path == "" {
		http.NotFound(w, r)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// guarded answers requests that have the token in their query.
func (p *Page) guarded(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.URL.Query().Get("token")), []byte(p.token)) != 1 {
			http.Error(w, "the address lacks the right token: open the whole address that scripts/lab console printed, with ?token=", http.StatusForbidden)
			return
		}
		answer(w, r)
	}
}

func (p *Page) index(w http.ResponseWriter, r *http.Request) {
	p.write(w, r, "web/index.html", "{{project}}", html.EscapeString(p.hub.project))
}

// write writes a page. The replacements are pairs of a name and the HTML that replaces this name in the page. (Package html/template would
// make the program larger.)
func (p *Page) write(w http.ResponseWriter, r *http.Request, file string, replacements ...string) {
	page, err := web.ReadFile(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	query, theme := p.query(r)
	if theme != "" {
		theme = ` data-theme="` + theme + `"`
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = strings.NewReplacer(append(replacements, "{{theme}}", theme, "{{query}}", html.EscapeString(query))...).WriteString(w, string(page))
}

// query returns what follows the path in the page's links, and the theme that the request asks for: light, dark, or none for the theme of
// the machine.
func (p *Page) query(r *http.Request) (query, theme string) {
	query = "?token=" + url.QueryEscape(p.token)
	if given := r.URL.Query().Get("theme"); given == "light" || given == "dark" {
		return query + "&theme=" + given, given
	}
	return query, ""
}

// events sends server-sent events: first everything that the hub has, then each change.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx and others would hold events back
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
		data, err := json.Marshal(p.hub.take(b, p.clock()))
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil || out.Flush() != nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // see backlog
	}
}

func (p *Page) handshake(w http.ResponseWriter, r *http.Request) {
	as := r.PathValue("as")
	if !slices.Contains(Clients, as) {
		http.Error(w, "want one of "+strings.Join(Clients, ", "), http.StatusBadRequest)
		return
	}
	if p.asked == nil {
		http.Error(w, "this page shows a recording: a handshake needs a lab (make console)", http.StatusConflict)
		return
	}
	select {
	case p.asked <- as:
		w.WriteHeader(http.StatusAccepted)
	default:
		http.Error(w, "another handshake is still running", http.StatusConflict)
	}
}

const longestTrace = 1 << 20

// trace receives a handshake that `lab handshake` has performed.
func (p *Page) trace(w http.ResponseWriter, r *http.Request) {
	trace, err := ParseTrace(r.PathValue("as"), http.MaxBytesReader(w, r.Body, longestTrace))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.hub.Trace(trace)
}

// markdown renders the lessons. HTML in a lesson is left out.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table))

// html returns a lesson as HTML. Links to lessons and pictures get the query. Links to other files of the lab become text.
func (p *Page) html(text []byte, query string) (string, error) {
	document := markdown.Parser().Parse(gmtext.NewReader(text))
	var links []*ast.Link
	err := ast.Walk(document, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if picture, ok := node.(*ast.Image); ok && entering {
			picture.Destination = []byte(string(picture.Destination) + query) // a copy, because append would overwrite the text
		}
		if link, ok := node.(*ast.Link); ok && entering {
			links = append(links, link)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return "", err
	}
	for _, link := range links {
		to := string(link.Destination)
		if name, ok := strings.CutSuffix(to, ".md"); ok && lessonName.MatchString(name) {
			link.Destination = []byte(name + query)
			continue
		}
		if strings.HasPrefix(to, "https://") {
			continue
		}
		for link.FirstChild() != nil {
			link.Parent().InsertBefore(link.Parent(), link, link.FirstChild())
		}
		link.Parent().RemoveChild(link.Parent(), link)
	}
	var out strings.Builder
	if err := markdown.Renderer().Render(&out, text, document); err != nil {
		return "", err
	}
	return strings.ReplaceAll(out.String(), "<pre>", `<pre tabindex="0">`), nil // so that keys scroll it
}

var lessonName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

func (p *Page) lesson(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if picture, ok := strings.CutSuffix(name, ".png"); ok && lessonName.MatchString(picture) {
		if content, err := fs.ReadFile(p.lessons, name); err == nil {
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(content)
			return
		}
	}
	if !lessonName.MatchString(name) {
		name = ""
	}
	text, err := fs.ReadFile(p.lessons, name+".md")
	if err != nil {
		http.Error(w, fmt.Sprintf("there is no lesson %q: %v", name, err), http.StatusNotFound)
		return
	}
	query, _ := p.query(r)
	body, err := p.html(text, query)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.write(w, r, "web/lesson.html", "{{name}}", html.EscapeString(name), "{{lesson}}", body)
}
