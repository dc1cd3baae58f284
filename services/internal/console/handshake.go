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

// Nobody is the name for a client that shows no certificate.
const Nobody = "nobody"

// Clients are the possible clients of a handshake.
var Clients = []string{lab.ClientUser, lab.ServerUser, Nobody}

// handshakeWithin is how long a handshake may take, including the start of its container.
const handshakeWithin = time.Minute

// Handshake performs one handshake with the lab's server, prints the steps of the handshake, and sends the handshake to a running console.
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

// handshake runs `openssl s_client` in a temporary container with the image tools. The last parameter names the client. handshake also
// returns the output of openssl.
func handshake(ctx context.Context, l *launch.Launcher, as string) (*Trace, []byte, error) {
	if !slices.Contains(Clients, as) {
		return nil, nil, &engine.Problem{What: fmt.Sprintf("there is no client %q for a handshake", as), Remedy: "choose one of " + strings.Join(Clients, ", ")}
	}
	user, show := as, "-cert svid.0.pem -key svid.0.key"
	if as == Nobody {
		user, show = lab.ClientUser, "" // this user fetches the trust bundle
	}
	if err := l.Need(ctx); err != nil {
		return nil, nil, err
	}
	server, err := l.Container(ctx, lab.Server)
	if err != nil && !errors.Is(err, engine.ErrNoContainer) {
		return nil, nil, err
	}
	if server.State != "running" {
		return nil, nil, &engine.Problem{What: "the server of the lab " + l.Project + " is not running", Remedy: "make up"}
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
		return nil, nil, &engine.Problem{What: user + " gets no SVID for the handshake: " + last, Remedy: "make svid; make entries"}
	case status != 0:
		return nil, nil, &engine.Problem{What: fmt.Sprintf("the container for openssl exited with status %d: %s", status, last), Remedy: "make doctor"}
	}
	trace, err := ParseTrace(as, bytes.NewReader(out.Bytes()))
	return trace, out.Bytes(), err
}

func send(ctx context.Context, e *engine.Engine, as string, text []byte) error {
	access, err := ReadAccess(accessFile(e))
	if err != nil {
		return err
	}
	if access.Address == "" {
		return nil // the console is starting or stopping
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	address := url.URL{Scheme: "http", Host: access.Address, Path: "/trace/" + as, RawQuery: url.Values{"token": {access.Token}}.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	// No proxy, because the console is on this machine.
	answer, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		var wrapped *url.Error // its text has the address, which has the token
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
