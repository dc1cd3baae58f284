// Package kubernetes starts the lab on a Kubernetes cluster, runs its client there, and removes the lab. It runs kubectl as a program, so
// that contexts and credential plugins work as they do for a person who types the commands.
package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
)

// The namespaces of the lab, and the label of everything that the lab creates.
const (
	labSpace   = "spiffe-lab"
	spireSpace = "spiffe-lab-spire"
	markLabel  = "app.kubernetes.io/managed-by"
	mark       = "spiffe-lab"
)

// outside lists the lab's namespaces, and everything that the lab creates outside them, as kind and name.
var outside = [][2]string{
	{"namespace", labSpace}, {"namespace", spireSpace},
	{"clusterrolebinding", "spiffe-lab-spire-server"}, {"clusterrole", "spiffe-lab-spire-server"},
	{"clusterrolebinding", "spiffe-lab-spire-agent"}, {"clusterrole", "spiffe-lab-spire-agent"},
}

// Cluster is the cluster that the learner has confirmed. It keeps the kubectl context of that moment, even if kubectl's current context
// changes later.
type Cluster struct {
	*launch.Launcher
	context string
}

// Choose names the cluster of the current kubectl context, and asks whether it is the right cluster. It sends nothing to the cluster before
// the answer, and then checks that the cluster responds. The parameter what completes the text "This will ... the cluster". If yes is true,
// Choose does not ask, for use in scripts. The parameter in is the terminal of a person, or nil.
func Choose(ctx context.Context, l *launch.Launcher, what string, yes bool, in io.Reader) (*Cluster, error) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		return nil, &engine.Problem{What: "kubectl was not found", Remedy: "install it (https://kubernetes.io/docs/tasks/tools/) and select a cluster, for example one that kind has created"}
	}
	c := &Cluster{Launcher: l}
	said, err := c.ask(ctx, "config", "current-context")
	if err != nil || strings.TrimSpace(said) == "" {
		return nil, &engine.Problem{What: "kubectl has no current context", Remedy: "choose one: kubectl config use-context NAME"}
	}
	c.context = strings.TrimSpace(said)
	server := c.server(ctx)
	if server == "" {
		return nil, &engine.Problem{What: fmt.Sprintf("kubectl's current context %q names no cluster", c.context), Remedy: "\"kubectl config get-contexts\" lists the contexts"}
	}
	where := fmt.Sprintf("the cluster of kubectl's context %q (%s)", c.context, server)
	if !yes {
		if in == nil {
			return nil, &engine.Problem{What: "this would " + what + " " + where, Remedy: "confirm it with YES=1, or with --yes"}
		}
		fmt.Fprintf(l.Screen, "This will %s %s. Go on? [y/N] ", what, where)
		line, _ := bufio.NewReader(in).ReadString('\n')
		if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
			return nil, errors.New("nothing was done")
		}
	}
	if _, err := c.ask(ctx, "get", "--raw", "/version", "--request-timeout", "10s"); err != nil {
		return nil, fmt.Errorf("the cluster of context %q (%s) cannot be used: %w", c.context, server, err)
	}
	if yes {
		l.Screen.Say("on %s", where)
	}
	return c, nil
}

// server returns the address of the context's cluster, or nothing.
func (c *Cluster) server(ctx context.Context) string {
	var config struct {
		Clusters []struct{ Cluster struct{ Server string } }
	}
	said, err := c.ask(ctx, "config", "view", "--minify", "--output", "json")
	if err != nil || json.Unmarshal([]byte(said), &config) != nil || len(config.Clusters) == 0 {
		return ""
	}
	return config.Clusters[0].Cluster.Server
}

func (c *Cluster) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	if c.context != "" {
		args = slices.Concat([]string{"--context", c.context}, args)
	}
	cmd := c.Command(ctx, nil, "kubectl", args...)
	cmd.Dir = "" // KUBECONFIG may be relative to the person's current folder
	return cmd
}

// ask returns the standard output of kubectl. Its error has the last line of the standard error.
func (c *Cluster) ask(ctx context.Context, args ...string) (string, error) {
	out, err := c.kubectl(ctx, args...).Output()
	return string(out), engine.Reason(err)
}

// get reads one object or a list of them.
func (c *Cluster) get(ctx context.Context, into any, args ...string) error {
	said, err := c.ask(ctx, append(args, "--output", "json")...)
	if err != nil || strings.TrimSpace(said) == "" {
		return err
	}
	if err := json.Unmarshal([]byte(said), into); err != nil {
		return fmt.Errorf("kubectl %s gave an answer that is not JSON: %w", strings.Join(args, " "), err)
	}
	return nil
}

func (c *Cluster) apply(ctx context.Context, manifest string) error {
	cmd := c.kubectl(ctx, "apply", "--filename", "-")
	cmd.Stdin = strings.NewReader(manifest)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("kubectl apply: %s", bytes.TrimSpace(out))
	}
	return nil
}

// Manifests returns all manifests of the lab, with the variables replaced. It does not ask the cluster.
func Manifests(ctx context.Context, l *launch.Launcher) (string, error) {
	c := &Cluster{Launcher: l}
	said, err := c.ask(ctx, "kustomize", filepath.Join(l.Dir, "spire", "kubernetes"))
	if err != nil {
		return "", fmt.Errorf("kubectl kustomize: %w", err)
	}
	return c.fill(said), nil
}

// fill replaces the variables ${...} in a text, as Compose does in compose.yaml. The parameter more has further names of variables, each
// followed by its value.
func (c *Cluster) fill(text string, more ...string) string {
	var pairs []string
	for _, name := range []string{"SPIRE_REGISTRY", "SPIRE_VERSION", "LAB_TAG"} {
		pairs = append(pairs, "${"+name+"}", c.Setting(name))
	}
	for i := 0; i+1 < len(more); i += 2 {
		pairs = append(pairs, "${"+more[i]+"}", more[i+1])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

type owner int

const (
	nobody owner = iota // it does not exist
	ours
	foreign
)

func (c *Cluster) ownerOf(ctx context.Context, kind, name string) (owner, error) {
	var object struct {
		Metadata *struct{ Labels map[string]string }
	}
	switch err := c.get(ctx, &object, "get", kind, name, "--ignore-not-found"); {
	case err != nil:
		return foreign, err
	case object.Metadata == nil:
		return nobody, nil
	case object.Metadata.Labels[markLabel] == mark:
		return ours, nil
	}
	return foreign, nil
}

type pod struct {
	Metadata struct{ CreationTimestamp string }
	Status   struct {
		Phase             string
		ContainerStatuses []struct {
			Name  string
			State struct {
				Waiting    *struct{ Reason, Message string }
				Terminated *struct{ ExitCode int }
			}
		}
	}
}

func (c *Cluster) waiting(ctx context.Context, namespace string) string {
	var list struct{ Items []pod }
	if err := c.get(ctx, &list, "--namespace", namespace, "get", "pods"); err != nil {
		return err.Error()
	}
	var all []string
	for _, item := range list.Items {
		for _, container := range item.Status.ContainerStatuses {
			if wait := container.State.Waiting; wait != nil {
				all = append(all, strings.TrimSpace(container.Name+": "+wait.Reason+" "+wait.Message))
			}
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

func (c *Cluster) ready(ctx context.Context, namespace string, resources ...string) error {
	for _, resource := range resources {
		if _, err := c.ask(ctx, "--namespace", namespace, "rollout", "status", resource, "--timeout", "180s"); err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		said := c.waiting(ctx, namespace)
		if strings.Contains(said, "ErrImageNeverPull") {
			image := c.Image("workload")
			return &engine.Problem{What: "a node does not have the image " + image,
				Remedy: "run \"kind load docker-image " + image + "\" or \"k3d image import " + image + "\" (see spire/kubernetes/README.md)"}
		}
		if said == "" {
			said = "no pod was created"
		}
		return &engine.Problem{What: resource + " in " + namespace + " is not ready after 180 s: " + said, Remedy: "kubectl --namespace " + namespace + " describe pods"}
	}
	return nil
}

func (c *Cluster) clientOnce(name, namespace, account string) (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, "spire", "kubernetes", "client-once.yaml"))
	return c.fill(string(text), "NAME", name, "NAMESPACE", namespace, "SERVICE_ACCOUNT", account), err
}
