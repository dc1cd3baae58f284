package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/scenario"
)

// Nobody is a client that shows no certificate.
const Nobody = "nobody"

// Clients are whose SVID a handshake can show.
var Clients = []string{lab.ClientUser, lab.ServerUser, Nobody}

// handshakeWithin is how long a handshake may take, with the start of its container.
const handshakeWithin = time.Minute

// Handshake performs one handshake with the lab's server, prints its steps, and shows it to a console that is running.
func Handshake(ctx context.Context, l *launch.Launcher, as string) error {
	trace, text, err := handshake(ctx, l, as)
	if err != nil {
		return err
	}
	trace.Print(l.Screen)
	if !scenario.Held(lockFile(l.Engine)) {
		return nil
	}
	if err := send(ctx, l.Engine, as, text); err != nil {
		return fmt.Errorf("the running console does not show this handshake: %w", err)
	}
	return nil
}

// handshake lets `openssl s_client` play the client, in a container of the tools that is removed. It returns what that has
// traced too.
func handshake(ctx context.Context, l *launch.Launcher, as string) (*Trace, []byte, error) {
	if !slices.Contains(Clients, as) {
		return nil, nil, &engine.Problem{What: fmt.Sprintf("there is no client %q for a handshake", as), Remedy: "one of " + strings.Join(Clients, ", ")}
	}
	user, show := as, "-cert svid.0.pem -key svid.0.key"
	if as == Nobody {
		user, show = lab.ClientUser, "" // for the trust bundle
	}
	if err := l.Need(ctx); err != nil {
		return nil, nil, err
	}
	server, err := l.Container(ctx, lab.Server)
	if err != nil && !errors.Is(err, engine.ErrNoContainer) {
		return nil, nil, err
	}
	if server.State != "running" {
		return nil, nil, &engine.Problem{What: "no server of the lab " + l.Project + " is running", Remedy: "make up"}
	}
	var said bytes.Buffer
	if err := l.NeedTools(ctx, &said); err != nil {
		return nil, nil, fmt.Errorf("the tools' image cannot be built: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	var out bytes.Buffer
	status, err := l.Run(ctx, nil, []string{"docker", "compose", "run", "--rm", "--no-deps", "--user", user, lab.Tools, "sh", "-c", `
		spire-agent api fetch x509 -write /scratch >/dev/null || exit 3
		printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect server:8443 -CAfile bundle.0.pem ` + show + ` -trace -ign_eof 2>&1
		exit 0`}, strings.NewReader(""), &out, &out)
	last := harmless(engine.LastLine(out.String()))
	switch {
	case err != nil:
		return nil, nil, err
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("the handshake did not end within %d s", int(handshakeWithin.Seconds()))
	case status == 3:
		return nil, nil, &engine.Problem{What: user + " gets no SVID to show: " + last, Remedy: "make svid; make entries"}
	case status != 0:
		return nil, nil, &engine.Problem{What: fmt.Sprintf("the container for openssl ended with status %d: %s", status, last), Remedy: "make doctor"}
	}
	trace, err := ParseTrace(as, bytes.NewReader(out.Bytes()))
	return trace, out.Bytes(), err
}

// send gives a handshake to the console that is running.
func send(ctx context.Context, e *engine.Engine, as string, text []byte) error {
	access, err := ReadAccess(accessFile(e))
	if err != nil {
		return err
	}
	if access.Address == "" {
		return nil // it is starting, or ending
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	address := url.URL{Scheme: "http", Host: access.Address, Path: "/trace/" + as, RawQuery: url.Values{"token": {access.Token}}.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	// No proxy: it is this machine.
	answer, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		var wrapped *url.Error // its text has the address, and so the token
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		return errors.New(strings.TrimSpace(string(said)))
	}
	return nil
}
