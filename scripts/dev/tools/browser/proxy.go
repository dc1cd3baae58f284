package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// path is where the page is behind the proxy.
const path = "/user/me/proxy/8089/"

// proxy is between the browser and the console, as on a machine that forwards the page: it has another address and a path, and its
// connections can break.
type proxy struct {
	http.Handler

	mu     sync.Mutex
	broken bool
	ends   map[int]context.CancelFunc // of the requests under way
	next   int
}

// behindProxy starts a proxy for the page, and returns the page's address there.
func behindProxy(page string) (*proxy, string, error) {
	target, err := url.Parse(page)
	if err != nil {
		return nil, "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	query := target.RawQuery
	target.RawQuery = ""
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		FlushInterval: -1,
	}
	p := &proxy{Handler: http.StripPrefix(path[:len(path)-1], forward), ends: map[int]context.CancelFunc{}}
	go func() { _ = http.Serve(listener, p) }()
	return p, "http://" + listener.Addr().String() + path + "?" + query, nil
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, end := context.WithCancel(r.Context())
	defer end()
	p.mu.Lock()
	if p.broken {
		p.mu.Unlock()
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	number := p.next
	p.next++
	p.ends[number] = end
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.ends, number)
	}()
	defer func() { _ = recover() }() // ReverseProxy's way to end a response that has begun
	p.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// breaks ends every connection and lets none come, or lets them come again.
func (p *proxy) breaks(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = broken
	if broken {
		for _, end := range p.ends {
			end()
		}
	}
}
