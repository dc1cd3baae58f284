package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Traffic has the results of the requests between two containers. Times are in milliseconds.
type Traffic struct {
	Kind       string  `json:"kind"`       // "spiffe" or "static"
	Connection string  `json:"connection"` // "new" for a new connection for each request, or "kept"
	Requests   uint64  `json:"requests"`
	Rate       float64 `json:"rate"` // requests per second
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
}

// inImage is the folder with the files of the measurement, in the containers of the measurement.
const inImage = "/bench"

// load runs in a container of the lab, as the client's user. At a constant rate, it sends requests to the lab's server
// and to the server with static certificates, in turn.
func load(ctx context.Context, o options) error {
	first, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	source, err := workloadapi.NewX509Source(first)
	if err != nil {
		return fmt.Errorf("no identity: %w", err)
	}
	defer source.Close()
	static, err := staticConfig("client")
	if err != nil {
		return err
	}
	targets := map[string]struct {
		url    string
		config *tls.Config
	}{
		"spiffe": {"https://server:8443/", tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/server")))},
		"static": {"https://static-server:8443/", static},
	}
	var all []Traffic
	for _, connection := range []string{"new", "kept"} {
		rate := vegeta.Rate{Freq: map[string]int{"new": 100, "kept": 200}[connection], Per: time.Second}
		clients, metrics := map[string]*http.Client{}, map[string]*vegeta.Metrics{}
		for _, kind := range kinds {
			clients[kind] = &http.Client{
				Timeout: 5 * time.Second,
				Transport: &http.Transport{
					TLSClientConfig:     targets[kind].config,
					DisableKeepAlives:   connection == "new",
					MaxIdleConnsPerHost: vegeta.DefaultConnections,
				},
			}
			metrics[kind] = &vegeta.Metrics{}
		}
		for round := range 1 + pick(o, 8, 1) {
			for _, kind := range kinds {
				target := vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodGet, URL: targets[kind].url})
				// vegeta cannot use an attacker twice, but the client keeps its connections for the next attacker.
				attacker := vegeta.NewAttacker(vegeta.Client(clients[kind]))
				for result := range attacker.Attack(target, rate, pick(o, 2*time.Second, time.Second), kind) {
					if result.Error != "" {
						return fmt.Errorf("%s: %s", targets[kind].url, result.Error)
					}
					if ctx.Err() != nil {
						return ctx.Err()
					}
					if round > 0 { // the first round is only a warm-up
						metrics[kind].Add(result)
					}
				}
			}
		}
		for _, kind := range kinds {
			m := metrics[kind]
			m.Close()
			all = append(all, Traffic{kind, connection, m.Requests, float64(rate.Freq), milliseconds(m.Latencies.P50), milliseconds(m.Latencies.P99), milliseconds(m.Latencies.Max)})
		}
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

// serve runs in a container of the lab. It is like the lab's server, but uses static certificates.
func serve(ctx context.Context, _ options) error {
	config, err := staticConfig("server")
	if err != nil {
		return err
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.SessionTicketsDisabled = true
	logger := log.New(os.Stderr, "", log.LstdFlags)
	server := &http.Server{
		Addr:      ":8443",
		TLSConfig: config,
		ErrorLog:  logger,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			logger.Printf("Request received from %q: %s %q", r.TLS.PeerCertificates[0].URIs[0], r.Method, r.URL.Path)
			_, _ = io.WriteString(w, "Success!!!")
		}),
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServeTLS("", ""); ctx.Err() == nil {
		return err
	}
	return nil
}

func staticConfig(name string) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(inImage+"/"+name+".pem", inImage+"/"+name+".pem")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(inImage + "/ca.pem")
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(text)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: authorities, ClientCAs: authorities}, nil
}
