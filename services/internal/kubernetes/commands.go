package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

// Up starts the lab on the cluster, and waits until the client is served.
func (c *Cluster) Up(ctx context.Context) error {
	began := time.Now()
	for _, object := range outside {
		switch whose, err := c.ownerOf(ctx, object[0], object[1]); {
		case err != nil:
			return err
		case whose == foreign:
			return fmt.Errorf("the %s %s exists on this cluster, and the lab did not create it: nothing was done", object[0], object[1])
		}
	}
	manifests, err := Manifests(ctx, c.Launcher)
	if err != nil {
		return err
	}
	if err := c.apply(ctx, manifests); err != nil {
		return err
	}
	if err := c.ready(ctx, spireSpace, "statefulset/spire-server"); err != nil {
		return err
	}
	if err := c.Entries(ctx); err != nil {
		return err
	}
	if err := c.ready(ctx, spireSpace, "daemonset/spire-agent"); err != nil {
		return err
	}
	if err := c.ready(ctx, labSpace, "deployment/server", "deployment/client"); err != nil {
		return err
	}
	said, err := c.ask(ctx, "--namespace", labSpace, "logs", "deployment/client", "--tail", "1")
	if err != nil {
		return err
	}
	c.Screen.Say("the client is served (%d s): %s", int(time.Since(began).Seconds()), strings.TrimSpace(said))
	if said, err = c.ask(ctx, "get", "pods", "--all-namespaces", "--selector", "app in (spire-server, spire-agent, server, client)",
		"--output", "custom-columns=NAMESPACE:.metadata.namespace,POD:.metadata.name,SERVICE ACCOUNT:.spec.serviceAccountName,STATUS:.status.phase"); err != nil {
		return err
	}
	c.Screen.Say("%s", said+`
Try next:
  make k8s-bad-id                                run the client under the server's service account
  kubectl -n spiffe-lab logs deployment/server   show the log of the server
  make k8s-down                                  remove everything
  spire/kubernetes/README.md                     the lesson`)
	return nil
}

// request is one request of the client, in a separate pod.
type request struct {
	output string
	status int
	since  string // the pod's creation, by the cluster's clock
}

func (c *Cluster) once(ctx context.Context, name, namespace, account string) (request, error) {
	var done request
	remove := []string{"--namespace", namespace, "delete", "pod", name, "--ignore-not-found", "--now"}
	if _, err := c.ask(ctx, remove...); err != nil {
		return done, err
	}
	manifest, err := c.clientOnce(name, namespace, account)
	if err != nil {
		return done, err
	}
	if err := c.apply(ctx, manifest); err != nil {
		return done, err
	}
	var found pod
	err = launch.Until(ctx, 2*time.Minute, "the pod "+name+" has ended", func() error {
		if err := c.get(ctx, &found, "--namespace", namespace, "get", "pod", name); err != nil {
			return err
		}
		if found.Status.Phase != "Succeeded" && found.Status.Phase != "Failed" {
			return errors.New(found.Status.Phase + " " + c.waiting(ctx, namespace))
		}
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("the pod %s did not run: %w", name, err)
	}
	for _, container := range found.Status.ContainerStatuses {
		if container.State.Terminated != nil {
			done.status = container.State.Terminated.ExitCode
		}
	}
	done.since = found.Metadata.CreationTimestamp
	said, err := c.kubectl(ctx, "--namespace", namespace, "logs", name).CombinedOutput()
	if err != nil {
		return done, fmt.Errorf("kubectl logs: %s", engine.LastLine(string(said)))
	}
	done.output = strings.TrimRight(string(said), "\n")
	_, err = c.ask(ctx, remove...)
	return done, err
}

func (c *Cluster) story(ctx context.Context, name, account string) (request, error) {
	done, err := c.once(ctx, name, labSpace, account)
	if err != nil {
		return done, err
	}
	c.Screen.Say("  %spod %s, service account %s%s", c.Screen.Dim, name, account, c.Screen.Plain)
	for line := range strings.Lines(done.output) {
		c.Screen.Say("    %s", strings.TrimRight(line, "\n"))
	}
	c.Screen.Say("    exit status %d", done.status)
	return done, nil
}

// These are the messages of both sides when a client presents the server's SPIFFE ID.
const alert = `Error connecting to "https://server:8443/": Get "https://server:8443/": remote error: tls: bad certificate`

var refusal = regexp.MustCompile(`TLS handshake error from [^ ]+: unexpected ID "spiffe://example\.org/server"$`)

// BadID runs the client under its service account, then under the server's, and checks who refuses.
func (c *Cluster) BadID(ctx context.Context) error {
	whose, err := c.ownerOf(ctx, "namespace", labSpace)
	if err != nil {
		return err
	}
	if whose != ours {
		return &engine.Problem{What: fmt.Sprintf("the lab is not on the cluster of context %q", c.context), Remedy: "make k8s-up"}
	}
	if err := c.ready(ctx, labSpace, "deployment/server"); err != nil {
		return err
	}
	failed := 0
	expect := func(what string, holds bool) {
		if holds {
			c.Screen.Say("  %sok%s %s", c.Screen.Green, c.Screen.Plain, what)
			return
		}
		c.Screen.Say("  %sFAIL%s %s", c.Screen.Red, c.Screen.Plain, what)
		failed++
	}

	c.Screen.Say("1. Run the right client first, to see that it is served")
	right, err := c.story(ctx, "client-as-client", "client-workload")
	if err != nil {
		return err
	}
	expect("client-workload is served", right.status == 0 && right.output == "Success!!!")

	c.Screen.Say("2. Run the same image with the same command under the service account server-workload")
	wrong, err := c.story(ctx, "client-as-server", "server-workload")
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(wrong.output, "\n")
	expect("the client says that it was refused", wrong.status == 4)
	expect("the client learns only that its certificate is bad", first == alert)
	said, err := c.ask(ctx, "--namespace", labSpace, "logs", "deployment/server", "--since-time", wrong.since)
	if err != nil {
		return err
	}
	refused := "nothing about this request"
	for line := range strings.Lines(said) {
		if strings.Contains(line, "unexpected") {
			refused = strings.TrimSpace(line)
		}
	}
	c.Screen.Say("  server logs: %s", refused)
	expect("the server refused, and logs the SPIFFE ID that it saw", refusal.MatchString(refused))
	if failed > 0 {
		return fmt.Errorf("%d of the expectations were not met", failed)
	}
	return nil
}

// Down removes the objects that the lab has created on the cluster, but nothing else.
func (c *Cluster) Down(ctx context.Context) error {
	removed := 0
	for _, object := range outside {
		kind, name := object[0], object[1]
		whose, err := c.ownerOf(ctx, kind, name)
		switch {
		case err != nil:
			return err
		case whose == foreign:
			c.Screen.Say("the %s %s stays, because the lab did not create it", kind, name)
		case whose == ours:
			said, err := c.ask(ctx, "delete", kind, name, "--timeout", "180s")
			if err != nil {
				return fmt.Errorf("kubectl delete: %w", err)
			}
			c.Screen.Say("%s", strings.TrimSpace(said))
			removed++
		}
	}
	if removed == 0 {
		c.Screen.Say("there was nothing of the lab on this cluster")
	}
	return nil
}
