package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

const path = "/user/me/proxy/8089/"

// proxy is between the browser and the console, as on a machine that forwards the page. The page then has a different address and a path,
// and the test can break the connections.
type proxy struct {
	http.Handler

	mu     sync.Mutex
	broken bool
	ends   map[int]context.CancelFunc // functions that end the requests in progress
	next   int
}

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
	defer func() { _ = recover() }() // ReverseProxy panics if it cannot finish a response
	p.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// If broken is true, breaks ends every connection and refuses new connections. Otherwise it accepts new connections again.
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
