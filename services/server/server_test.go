package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/spiffe-lab/spiffe-lab/services/internal/testca"
)

const (
	serverID = "spiffe://example.org/server"
	clientID = "spiffe://example.org/client"
)

// lines is a log that a test can wait for.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(l.String(), text) {
			return
		}
	}
	t.Fatalf("the server did not log %q, but:\n%s", text, l)
}

// running is the lab's server with an SVID from the test.
type running struct {
	url, addr string
	log       *lines
	stop      context.CancelFunc
	done      chan error
}

func start(t *testing.T, ca *testca.CA, change func(*config)) *running {
	t.Helper()
	cfg, err := parse([]string{"-socket", "unix:///none"}, func(string) string { return "" }, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&cfg)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{addr: listener.Addr().String(), log: &lines{}, stop: stop, done: make(chan error, 1)}
	r.url = "https://" + r.addr + "/"
	logger := log.New(r.log, "", 0)
	server := newServer(cfg, ca.SVID(serverID, time.Hour), ca.Bundle(), logger)
	go func() { r.done <- serve(ctx, server, listener, cfg.shutdownTimeout, logger) }()
	t.Cleanup(func() {
		stop()
		<-r.done
	})
	return r
}

// peer returns the TLS configuration of a client that authorizes the server by its SPIFFE ID.
func peer(svid x509svid.Source, bundle x509bundle.Source) *tls.Config {
	return tlsconfig.MTLSClientConfig(svid, bundle, tlsconfig.AuthorizeID(spiffeid.RequireFromString(serverID)))
}

func get(config *tls.Config, url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func mustServe(t *testing.T, ca *testca.CA, url string) {
	t.Helper()
	body, err := get(peer(ca.SVID(clientID, time.Hour), ca.Bundle()), url)
	if err != nil || body != "Success!!!" {
		t.Fatalf("the rightful client was not served: %q, %v", body, err)
	}
}

func TestServerNamesThePeerOfEachRequest(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, nil)
	mustServe(t, ca, server.url)
	server.log.await(t, `Request received from "spiffe://example.org/client": GET "/"`)
}

func TestServerRefuses(t *testing.T) {
	ca := testca.New(t, "example.org")
	otherCA := testca.New(t, "example.org")
	foreign := testca.New(t, "partner.test")
	with := func(certificate tls.Certificate) *tls.Config {
		config := tlsconfig.TLSClientConfig(ca.Bundle(), tlsconfig.AuthorizeID(spiffeid.RequireFromString(serverID)))
		config.Certificates = []tls.Certificate{certificate}
		return config
	}
	old := peer(ca.SVID(clientID, time.Hour), ca.Bundle())
	old.MaxVersion, old.MinVersion = tls.VersionTLS11, tls.VersionTLS10

	for _, c := range []struct {
		name   string
		client *tls.Config
		log    string // the text of the server's log line after "http: TLS handshake error from ADDR: "
		err    string // the error that the client gets
	}{
		{"another SPIFFE ID of the trust domain", peer(ca.SVID(serverID, time.Hour), ca.Bundle()),
			`unexpected ID "spiffe://example.org/server"`, "remote error: tls: bad certificate"},
		{"a longer path", peer(ca.SVID(clientID+"/x", time.Hour), ca.Bundle()),
			`unexpected ID "spiffe://example.org/client/x"`, "remote error: tls: bad certificate"},
		{"no certificate", tlsconfig.TLSClientConfig(ca.Bundle(), tlsconfig.AuthorizeAny()),
			"tls: client didn't provide a certificate", "remote error: tls: certificate required"},
		{"the right ID under another CA", peer(otherCA.SVID(clientID, time.Hour), ca.Bundle()),
			"x509svid: could not verify leaf certificate: x509: certificate signed by unknown authority", "remote error: tls: bad certificate"},
		{"a foreign trust domain", peer(foreign.SVID("spiffe://partner.test/client", time.Hour), ca.Bundle()),
			`x509svid: could not get X509 bundle: x509bundle: no X.509 bundle found for trust domain: "partner.test"`, "remote error: tls: bad certificate"},
		{"an expired SVID", peer(ca.SVID(clientID, -time.Minute), ca.Bundle()),
			"x509svid: could not verify leaf certificate: x509: certificate has expired or is not yet valid: ", "remote error: tls: bad certificate"},
		{"a certificate that names nobody", with(ca.NoID()),
			"x509svid: could not get leaf SPIFFE ID: certificate contains no URI SAN", "remote error: tls: bad certificate"},
		{"TLS 1.1", old,
			"tls: client offered only unsupported versions: [302 301]", "remote error: tls: protocol version not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := start(t, ca, nil)
			mustServe(t, ca, server.url)
			body, err := get(c.client, server.url)
			if err == nil {
				t.Fatalf("served: %q", body)
			}
			// net/http may add a prefix to an alert that arrives before the request is sent.
			var alert *net.OpError
			if !errors.As(err, &alert) || alert.Error() != c.err {
				t.Errorf("the client got\n  %v\nnot\n  %s", err, c.err)
			}
			server.log.await(t, c.log)
			want := regexp.MustCompile(`(?m)^http: TLS handshake error from 127\.0\.0\.1:\d+: ` + regexp.QuoteMeta(c.log))
			if !want.MatchString(server.log.String()) {
				t.Errorf("no line of the log matches %s:\n%s", want, server.log)
			}
			if n := strings.Count(server.log.String(), "Request received"); n != 1 {
				t.Errorf("%d requests reached the handler, not only the rightful one", n)
			}
		})
	}
}

// TestAlertDependsOnWhoVerifies: the alert for a refused client depends on the code that verifies its certificate. TLS
// has an alert for each reason to refuse a certificate (RFC 8446, section 6.2), and Go's own verification sends this
// alert. go-spiffe verifies in VerifyPeerCertificate, and Go sends bad_certificate for every error of this function.
func TestAlertDependsOnWhoVerifies(t *testing.T) {
	const none, badCertificate, certificateExpired, unknownCA = 0, 42, 45, 48
	ca := testca.New(t, "example.org")
	otherCA := testca.New(t, "example.org")
	server := ca.SVID(serverID, time.Hour)
	goSPIFFE := tlsconfig.MTLSServerConfig(server, ca.Bundle(), tlsconfig.AuthorizeID(spiffeid.RequireFromString(clientID)))
	goItself := tlsconfig.TLSServerConfig(server)
	goItself.ClientAuth = tls.RequireAndVerifyClientCert
	goItself.ClientCAs = ca.Pool()

	for _, c := range []struct {
		name               string
		client             *x509svid.SVID
		goItself, goSPIFFE tls.AlertError
	}{
		{"the rightful client", ca.SVID(clientID, time.Hour), none, none},
		{"another CA", otherCA.SVID(clientID, time.Hour), unknownCA, badCertificate},
		{"an expired SVID", ca.SVID(clientID, -time.Minute), certificateExpired, badCertificate},
		{"another SPIFFE ID", ca.SVID(serverID, time.Hour), none, badCertificate}, // crypto/tls does not check SPIFFE IDs
	} {
		for verifier, server := range map[string]*tls.Config{"Go": goItself, "go-spiffe": goSPIFFE} {
			want := map[string]tls.AlertError{"Go": c.goItself, "go-spiffe": c.goSPIFFE}[verifier]
			switch err := alert(t, server, peer(c.client, ca.Bundle())); {
			case want == none && err != nil:
				t.Errorf("%s refuses %s: %v", verifier, c.name, err)
			case want != none && (err == nil || err.Error() != "remote error: "+want.Error()):
				t.Errorf("%s tells %s: %v; want alert %d, %q", verifier, c.name, err, want, want)
			}
		}
	}
}

// alert returns the alert that a client reads from a server with this configuration. Without an alert it returns nil.
func alert(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = connection.Write([]byte("accepted"))
	}()
	connection, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = connection.Read(make([]byte, 8))
	return err
}

// TestRefusedClientHasSentItsRequest: in TLS 1.3 the client's handshake ends before the server has verified the
// client's certificate (RFC 8446, section 2). So a refused client has already sent its request, and only its next read
// fails.
func TestRefusedClientHasSentItsRequest(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, nil)
	const refused = "remote error: tls: bad certificate"
	for version, early := range map[uint16]bool{tls.VersionTLS13: false, tls.VersionTLS12: true} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			raw, err := net.Dial("tcp", server.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
			config := peer(ca.SVID(serverID, time.Hour), ca.Bundle())
			config.MaxVersion = version
			connection := tls.Client(raw, config)
			err = connection.Handshake()
			if early {
				if err == nil || err.Error() != refused {
					t.Errorf("the handshake ended with %v, not with %s", err, refused)
				}
				return
			}
			if err != nil {
				t.Fatalf("the handshake failed: %v", err)
			}
			if _, err := fmt.Fprint(connection, getRequest); err != nil {
				t.Fatalf("the request could not be sent: %v", err)
			}
			if _, err := connection.Read(make([]byte, 1)); err == nil || err.Error() != refused {
				t.Errorf("the answer to the request is %v, not %s", err, refused)
			}
		})
	}
	mustServe(t, ca, server.url)
	if n := strings.Count(server.log.String(), "Request received"); n != 1 {
		t.Errorf("%d requests reached the handler, not only the rightful one:\n%s", n, server.log)
	}
}

func TestServerServesTheClientItIsTold(t *testing.T) {
	ca := testca.New(t, "example.org")
	const other = "spiffe://example.org/other"
	server := start(t, ca, func(cfg *config) { cfg.clientID = spiffeid.RequireFromString(other) })
	if body, err := get(peer(ca.SVID(other, time.Hour), ca.Bundle()), server.url); err != nil {
		t.Errorf("the client that -client-id names is not served: %q, %v", body, err)
	}
	if body, err := get(peer(ca.SVID(clientID, time.Hour), ca.Bundle()), server.url); err == nil {
		t.Errorf("a client that -client-id does not name is served: %q", body)
	}
	server.log.await(t, `unexpected ID "spiffe://example.org/client"`)
}

func TestServerTellsPlainHTTP(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, nil)
	mustServe(t, ca, server.url)
	response, err := http.Get("http://" + server.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusBadRequest || string(body) != "Client sent an HTTP request to an HTTPS server.\n" {
		t.Errorf("plain HTTP got %s: %q", response.Status, body)
	}
	server.log.await(t, "client sent an HTTP request to an HTTPS server")
}

// TestServerVerifiesEveryConnectionAnew: the server must not resume a session. go-spiffe verifies in
// VerifyPeerCertificate, which crypto/tls does not call when it resumes a session.
func TestServerVerifiesEveryConnectionAnew(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, nil)
	config := peer(ca.SVID(clientID, time.Hour), ca.Bundle())
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	config.ServerName = "server"
	for range 3 {
		connection, err := tls.Dial("tcp", server.addr, config)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(connection) // if the server sent a session ticket, it would arrive with the answer
		if err != nil || !bytes.Contains(answer, []byte("Success!!!")) {
			t.Fatalf("not served: %q, %v", answer, err)
		}
		if connection.ConnectionState().DidResume {
			t.Fatal("the session was resumed: the client was not verified")
		}
		connection.Close()
	}
}

// keep opens a connection that stays open. Each read on this connection fails after five seconds.
func keep(t *testing.T, ca *testca.CA, server *running) (*tls.Conn, *bufio.Reader) {
	t.Helper()
	connection, err := tls.Dial("tcp", server.addr, peer(ca.SVID(clientID, time.Hour), ca.Bundle()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	_ = connection.SetReadDeadline(time.Now().Add(5 * time.Second))
	return connection, bufio.NewReader(connection)
}

const getRequest = "GET / HTTP/1.1\r\nHost: server\r\n\r\n"

// mustAnswer reads the answer to one request. The server must not close the connection after this answer.
func mustAnswer(t *testing.T, reader *bufio.Reader) {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "Success!!!" || response.Close {
		t.Fatalf("got %q, closed: %t, %v", body, response.Close, err)
	}
}

func TestServerClosesAConnectionAtItsAge(t *testing.T) {
	const maxAge = time.Second
	ca := testca.New(t, "example.org")
	for _, c := range []struct {
		name   string
		use    func(*testing.T, *tls.Conn, *bufio.Reader)
		served int
	}{
		{"that has sent no request", func(*testing.T, *tls.Conn, *bufio.Reader) {}, 0},
		{"that is idle", func(t *testing.T, connection *tls.Conn, reader *bufio.Reader) {
			for range 2 {
				fmt.Fprint(connection, getRequest)
				mustAnswer(t, reader)
			}
		}, 2},
		{"with a request in progress, which is answered first", func(t *testing.T, connection *tls.Conn, reader *bufio.Reader) {
			fmt.Fprint(connection, "POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
			for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
				if line, err := reader.ReadString('\n'); err != nil || line != want {
					t.Fatalf("the request is not in progress: %q, %v", line, err)
				}
			}
			time.Sleep(maxAge + 100*time.Millisecond)
			fmt.Fprint(connection, "ok")
			mustAnswer(t, reader)
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := start(t, ca, func(cfg *config) { cfg.maxAge = maxAge })
			began := time.Now()
			connection, reader := keep(t, ca, server)
			c.use(t, connection, reader)

			rest, err := io.ReadAll(reader) // no error: the server has sent TLS's close_notify
			if age := time.Since(began); err != nil || len(rest) > 0 || age < maxAge {
				t.Errorf("%s after its start the connection got %q, %v; want nothing but its end, after %s", age, rest, err, maxAge)
			}
			fmt.Fprint(connection, getRequest)
			if answer, err := http.ReadResponse(reader, nil); err == nil {
				t.Errorf("a request after the age got %s", answer.Status)
			}
			mustServe(t, ca, server.url)
			if n := strings.Count(server.log.String(), "Request received"); n != c.served+1 {
				t.Errorf("%d requests were served, not %d and that of a new connection:\n%s", n, c.served, server.log)
			}
			told := "closing the connection from " + connection.LocalAddr().String() + ": it is older than -max-connection-age, 1s\n"
			if n := strings.Count(server.log.String(), told); n != 1 {
				t.Errorf("the log has %d times %q:\n%s", n, told, server.log)
			}
		})
	}
}

func TestServerKeepsAConnectionBelowItsAge(t *testing.T) {
	ca := testca.New(t, "example.org")
	for _, maxAge := range []time.Duration{0, time.Hour} {
		server := start(t, ca, func(cfg *config) { cfg.maxAge = maxAge })
		connection, reader := keep(t, ca, server)
		for range 2 {
			fmt.Fprint(connection, getRequest)
			mustAnswer(t, reader)
		}
		_ = connection.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := reader.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("with a maximum age of %s the connection did not stay open: %v", maxAge, err)
		}
	}
}

// TestNoRequestIsLostToTheAge: when the server closes a kept connection because of its age, the client must not lose a
// request. The client notices the end, and sends the request over a new connection.
func TestNoRequestIsLostToTheAge(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, func(cfg *config) { cfg.maxAge = 500 * time.Millisecond })
	transport := &http.Transport{TLSClientConfig: peer(ca.SVID(clientID, time.Hour), ca.Bundle())}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for began := time.Now(); time.Since(began) < 1600*time.Millisecond; {
		response, err := client.Get(server.url)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	if n := strings.Count(server.log.String(), "it is older than -max-connection-age"); n < 2 {
		t.Errorf("the age ended %d connections: nothing was tested", n)
	}
}

func TestServerLimitsTheBody(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, func(cfg *config) { cfg.maxBody = 10 })
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: peer(ca.SVID(clientID, time.Hour), ca.Bundle())}}
	for _, c := range []struct {
		body   string
		status int
	}{{"1234567890", 200}, {"12345678901", 413}} {
		response, err := client.Post(server.url, "text/plain", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("a body of %d bytes got %d, not %d", len(c.body), response.StatusCode, c.status)
		}
	}
	server.log.await(t, "request body refused: larger than -max-body, 10 bytes")
}

// endless is a request body without an end. It counts the bytes that the client has sent of it.
type endless struct{ taken atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.taken.Add(int64(len(p))) > 1<<30 {
		return 0, io.EOF
	}
	return len(p), nil
}

func TestHostilePeersDoNotStopTheServer(t *testing.T) {
	ca := testca.New(t, "example.org")
	dial := func(t *testing.T, server *running) net.Conn {
		t.Helper()
		connection, err := net.Dial("tcp", server.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		return connection
	}
	dialTLS := func(t *testing.T, server *running) *tls.Conn {
		t.Helper()
		connection, err := tls.Dial("tcp", server.addr, peer(ca.SVID(clientID, time.Hour), ca.Bundle()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		return connection
	}
	// closed waits until the server ends the connection. It waits much longer than the server's read limit.
	closed := func(t *testing.T, connection net.Conn) {
		t.Helper()
		_ = connection.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := io.Copy(io.Discard, connection)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Error("the server did not close the connection")
		}
	}

	for name, attack := range map[string]func(*testing.T, *running){
		"garbage bytes": func(t *testing.T, server *running) {
			connection := dial(t, server)
			_, _ = connection.Write(bytes.Repeat([]byte{0xff, 0x00, 0x16}, 4096))
			mustServe(t, ca, server.url)
			closed(t, connection)
			server.log.await(t, "tls: first record does not look like a TLS handshake")
		},
		"half a handshake": func(t *testing.T, server *running) {
			connection := dial(t, server)
			_, _ = connection.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}) // the first bytes of a ClientHello
			mustServe(t, ca, server.url)
			closed(t, connection)
			server.log.await(t, "i/o timeout")
		},
		"slow headers": func(t *testing.T, server *running) {
			connection := dialTLS(t, server)
			fmt.Fprint(connection, "GET / HTTP/1.1\r\nHost: server\r\nX-Slow: ")
			mustServe(t, ca, server.url)
			closed(t, connection)
		},
		"huge headers": func(t *testing.T, server *running) {
			connection := dialTLS(t, server)
			go func() { _, _ = io.Copy(connection, io.LimitReader(&endless{}, 1<<20)) }()
			closed(t, connection)
			mustServe(t, ca, server.url)
		},
		"a body of 1 GiB": func(t *testing.T, server *running) {
			connection := dialTLS(t, server)
			fmt.Fprintf(connection, "POST / HTTP/1.1\r\nHost: server\r\nContent-Length: %d\r\n\r\n", 1<<30)
			body := &endless{}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, _ = io.Copy(connection, body)
			}()
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("got %s", response.Status)
			}
			mustServe(t, ca, server.url)
			<-sent // the client stops sending, because the server has closed the connection
			if taken := body.taken.Load(); taken > 64<<20 {
				t.Errorf("the server took %d bytes of the body", taken)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t, ca, func(cfg *config) { cfg.readTimeout = time.Second })
			attack(t, server)
			mustServe(t, ca, server.url)
		})
	}
}

func TestShutdownAnswersTheRequestInFlight(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, nil)
	connection, err := tls.Dial("tcp", server.addr, peer(ca.SVID(clientID, time.Hour), ca.Bundle()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	reader := bufio.NewReader(connection)
	if line, err := reader.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("the request is not in flight: %q, %v", line, err)
	}
	server.stop()
	server.log.await(t, "shutting down")
	fmt.Fprint(connection, "ok")
	answer, _ := io.ReadAll(reader)
	if !bytes.Contains(answer, []byte("Success!!!")) {
		t.Errorf("the request in flight got %q", answer)
	}
	err = <-server.done
	server.done <- err
	if err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestShutdownDoesNotWaitForever(t *testing.T) {
	ca := testca.New(t, "example.org")
	server := start(t, ca, func(cfg *config) { cfg.shutdownTimeout = 50 * time.Millisecond })
	connection, err := tls.Dial("tcp", server.addr, peer(ca.SVID(clientID, time.Hour), ca.Bundle()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	if _, err := bufio.NewReader(connection).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	server.stop()
	server.log.await(t, "requests still open after 50ms are cut off")
}

func TestCommandLine(t *testing.T) {
	good := "unix:///nonexistent/api.sock"
	for _, c := range []struct {
		name   string
		socket string
		args   []string
		status int
		text   string
	}{
		{"help", "", []string{"-help"}, 0, ""},
		{"no address", "", nil, 2, "server: no Workload API address: set SPIFFE_ENDPOINT_SOCKET or -socket; want an absolute path such as unix:///tmp/spire-agent/public/api.sock\n"},
		{"relative path in the variable", "unix:api.sock", nil, 2, "server: SPIFFE_ENDPOINT_SOCKET \"unix:api.sock\": workload endpoint unix socket URI must not be opaque; want an absolute path such as unix:///tmp/spire-agent/public/api.sock\n"},
		{"relative path in the flag", good, []string{"-socket", "unix://run/api.sock"}, 2, "server: -socket \"unix://run/api.sock\": the socket path is relative; want an absolute path such as unix:///tmp/spire-agent/public/api.sock\n"},
		{"a path that is no URI", "/tmp/api.sock", nil, 2, "server: SPIFFE_ENDPOINT_SOCKET \"/tmp/api.sock\": workload endpoint socket URI must have a \"tcp\" or \"unix\" scheme; want an absolute path such as unix:///tmp/spire-agent/public/api.sock\n"},
		{"malformed SPIFFE ID", good, []string{"-client-id", "example.org/client"}, 2, "server: invalid value \"example.org/client\" for flag -client-id: scheme is missing or invalid; want a SPIFFE ID such as spiffe://example.org/client\n"},
		{"unparsable duration", good, []string{"-wait", "soon"}, 2, "server: invalid value \"soon\" for flag -wait: want a duration such as 500ms, 5s or 1m\n"},
		{"negative duration", good, []string{"-read-timeout", "-1s"}, 2, "server: invalid value \"-1s\" for flag -read-timeout: want a positive duration such as 500ms, 5s or 1m\n"},
		{"too long a shutdown", good, []string{"-shutdown-timeout", "6s"}, 2, "server: -shutdown-timeout is 6s: want at most 5s\n"},
		{"no size", good, []string{"-max-body", "64k"}, 2, "server: invalid value \"64k\" for flag -max-body: want a positive number of bytes such as 65536\n"},
		{"unexpected argument", good, []string{"8443"}, 2, "server: unexpected argument \"8443\": server takes flags only\n"},
		{"unknown flag", good, []string{"-port", "1"}, 2, "server: flag provided but not defined: -port\n"},
		{"no address to listen on", good, []string{"-listen", "8443"}, 2, "server: invalid value \"8443\" for flag -listen: address 8443: missing port in address; want an address such as :8443 or 127.0.0.1:8080\n"},
		{"no identity", good, []string{"-wait", "50ms"}, 3, "the socket does not exist; likely cause: the agent is not running or has not attested, or its socket is not mounted here\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			getenv := func(string) string { return c.socket }
			got := status(run(context.Background(), c.args, getenv, &stdout, &stderr), &stderr)
			if got != c.status {
				t.Errorf("exit status %d, not %d", got, c.status)
			}
			if !strings.HasSuffix(stderr.String(), c.text) || strings.Count(stderr.String(), "\n") > 1 {
				t.Errorf("said %q, not the one line %q", stderr.String(), c.text)
			}
			if c.status == 0 && !strings.Contains(stdout.String(), "exit status: 0") {
				t.Errorf("-help does not tell the exit statuses: %s", stdout.String())
			}
		})
	}
}
