package kubernetes

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/engine/enginetest"
	"github.com/spiffe-lab/spiffe-lab/services/internal/launch"
	"github.com/spiffe-lab/spiffe-lab/services/internal/screen"
)

// TestMain: the test program plays kubectl if it runs under this name.
func TestMain(m *testing.M) { enginetest.Main(m) }

const (
	chosen = `kubectl config current-context => 0 kind
kubectl --context kind config view => 0 {"clusters":[{"cluster":{"server":"https://1.2.3.4:6443"}}]}
kubectl --context kind get --raw /version => 0 {}
`
	isOurs    = `0 {"kind":"Namespace","metadata":{"labels":{"app.kubernetes.io/managed-by":"spiffe-lab"}}}`
	isForeign = `0 {"kind":"Namespace","metadata":{"name":"x"}}`
	where     = `the cluster of kubectl's context "kind" (https://1.2.3.4:6443)`
)

// start returns a lab whose kubectl answers by the rules, the lab's output, and a function that returns the commands that have run.
func start(t *testing.T, rules string) (*launch.Launcher, *bytes.Buffer, func() string) {
	t.Helper()
	dir := enginetest.Start(t, rules, "kubectl")
	if err := os.MkdirAll(filepath.Join(dir, "spire", "kubernetes"), 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../../spire/kubernetes/client-once.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "spire", "kubernetes", "client-once.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	return &launch.Launcher{Engine: e, Screen: screen.Plain(&out)}, &out, func() string { return enginetest.Log(t) }
}

// cluster returns a cluster that the option --yes has confirmed.
func cluster(t *testing.T, rules string) (*Cluster, *bytes.Buffer, func() string) {
	t.Helper()
	l, out, log := start(t, chosen+rules)
	c, err := Choose(context.Background(), l, "start the lab on", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, out, log
}

// TestChoose: nothing must be sent to a cluster before a person has confirmed it.
func TestChoose(t *testing.T) {
	for name, test := range map[string]struct {
		rules  string
		yes    bool
		answer io.Reader
		want   string // the error, or empty if the cluster is accepted
		sent   bool
	}{
		"no context":           {"kubectl config current-context => 1 error: current-context is not set\n", true, nil, "kubectl has no current context", false},
		"no cluster":           {strings.Replace(chosen, `{"cluster":{"server":"https://1.2.3.4:6443"}}`, "", 1), true, nil, `kubectl's current context "kind" names no cluster`, false},
		"nobody to ask":        {chosen, false, nil, "this would start the lab on " + where, false},
		"no":                   {chosen, false, strings.NewReader("n\n"), "nothing was done", false},
		"Enter":                {chosen, false, strings.NewReader("\n"), "nothing was done", false},
		"the end of the input": {chosen, false, strings.NewReader(""), "nothing was done", false},
		"yes":                  {chosen, false, strings.NewReader("yes\n"), "", true},
		"Y":                    {chosen, false, strings.NewReader("Y\n"), "", true},
		"--yes":                {chosen, true, nil, "", true},
		"no answer": {strings.Replace(chosen, "/version => 0 {}", "/version => 1 Unable to connect to the server: EOF", 1), true, nil,
			`the cluster of context "kind" (https://1.2.3.4:6443) cannot be used: Unable to connect to the server: EOF`, true},
	} {
		t.Run(name, func(t *testing.T) {
			l, out, log := start(t, test.rules)
			_, err := Choose(context.Background(), l, "start the lab on", test.yes, test.answer)
			if (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
			if sent := strings.Contains(log(), "get --raw"); sent != test.sent {
				t.Errorf("sent: %v; ran:\n%s", sent, log())
			}
			if test.answer != nil && !strings.Contains(out.String(), "This will start the lab on "+where+". Go on? [y/N] ") {
				t.Errorf("it asks %q", out)
			}
		})
	}
	l, _, _ := start(t, chosen)
	t.Setenv("PATH", t.TempDir())
	if _, err := Choose(context.Background(), l, "start the lab on", true, nil); err == nil || err.Error() != "kubectl was not found" {
		t.Errorf("without kubectl: %v", err)
	}
}

const rollout = "rollout status => 0 done\n"

// TestUp: Up must apply the manifests with their variables replaced, and must create the entries.
func TestUp(t *testing.T) {
	c, out, log := cluster(t, rollout+`--ignore-not-found => 0
kustomize => 0 image: spiffe-lab/workload:${LAB_TAG} ${SPIRE_REGISTRY}/spire-agent:${SPIRE_VERSION} ${OTHER}
apply --filename - => 0 created
entry show => 1 Error: rpc error: code = NotFound desc = no
entry create => 0
logs deployment/client --tail 1 => 0 Success!!!
get pods --all-namespaces => 0 NAMESPACE
`)
	if err := c.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"s): Success!!!", "  $ spire-server entry create -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector k8s:ns:spiffe-lab -selector k8s:sa:client-workload\n", "make k8s-down"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if want := "apply --filename - < image: spiffe-lab/workload:local ghcr.io/spiffe/spire-agent:1.15.3 ${OTHER}"; !strings.Contains(log(), want) {
		t.Errorf("not %q, ran:\n%s", want, log())
	}
	if n := strings.Count(log(), "spire-server entry create"); n != 3 {
		t.Errorf("%d entries are created", n)
	}
	for line := range strings.Lines(log()) {
		if strings.HasPrefix(line, "kubectl ") && !strings.Contains(line, "--context kind") && !strings.Contains(line, "current-context") && !strings.Contains(line, "kustomize") {
			t.Errorf("this may go to another cluster: %s", line)
		}
	}
}

// TestForeign: an object that has a name of the lab but not its label must be neither used nor removed.
func TestForeign(t *testing.T) {
	c, _, log := cluster(t, "get clusterrole spiffe-lab-spire-agent => "+isForeign+"\nget => "+isOurs+"\n")
	if err := c.Up(context.Background()); err == nil || err.Error() != "the clusterrole spiffe-lab-spire-agent exists on this cluster, and the lab did not create it: nothing was done" {
		t.Errorf("%v", err)
	}
	if strings.Contains(log(), "apply") {
		t.Errorf("something was applied:\n%s", log())
	}
	c, out, log := cluster(t, "get namespace spiffe-lab --ignore => "+isForeign+"\nget clusterrole s => 0\nget => "+isOurs+"\ndelete => 0 ARGS\n")
	if err := c.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "the namespace spiffe-lab stays, because the lab did not create it\n") || strings.Contains(log(), "delete namespace spiffe-lab ") || strings.Contains(log(), "delete clusterrole ") {
		t.Errorf("%s\n%s", out, log())
	}
	for _, name := range []string{"namespace spiffe-lab-spire", "clusterrolebinding spiffe-lab-spire-server", "clusterrolebinding spiffe-lab-spire-agent"} {
		if !strings.Contains(log(), "delete "+name+" --timeout 180s") {
			t.Errorf("%s is not removed:\n%s", name, log())
		}
	}
	c, out, _ = cluster(t, "get => 0\n")
	if err := c.Down(context.Background()); err != nil || !strings.HasSuffix(out.String(), "there was nothing of the lab on this cluster\n") {
		t.Errorf("%v, %s", err, out)
	}
}

// TestNotReady: the error must say why the pods are not ready.
func TestNotReady(t *testing.T) {
	const pods = `0 {"items":[{"status":{"containerStatuses":[{"name":"server","state":{"waiting":{"reason":"REASON","message":"m"}}},{"name":"x","state":{}}]}}]}`
	for reason, want := range map[string]string{
		"ErrImageNeverPull": "a node does not have the image spiffe-lab/workload:local",
		"CrashLoopBackOff":  "deployment/server in spiffe-lab is not ready after 180 s: server: CrashLoopBackOff m",
	} {
		c, _, _ := cluster(t, "rollout => 1 timed out\nget pods => "+strings.Replace(pods, "REASON", reason, 1)+"\n")
		if err := c.ready(context.Background(), labSpace, "deployment/server"); err == nil || err.Error() != want {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// TestEntries: if an entry differs from the lab's entry, Entries must show the difference, and must not change the entry.
func TestEntries(t *testing.T) {
	show := func(e entry) string {
		return "entry show -entryID " + e.id + " => 0 Found 1 entry | " + strings.Join(e.lines(), " | ") + " | Revision number         : 0 | \n"
	}
	other := entries[2]
	other.selectors = []string{"k8s:ns:elsewhere", other.selectors[1]}
	c, out, log := cluster(t, show(entries[0])+show(entries[1])+show(other))
	if err := c.Entries(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := `  entry for spiffe://example.org/host is as it should be
  entry for spiffe://example.org/server is as it should be
  The entry client differs from the lab's entry (-: the lab's, +: found). It is not changed.
  - Selector                : k8s:ns:spiffe-lab
  + Selector                : k8s:ns:elsewhere
  To restore the lab's entry:
  kubectl --context kind --namespace spiffe-lab-spire exec spire-server-0 -- /opt/spire/bin/spire-server entry update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector k8s:ns:spiffe-lab -selector k8s:sa:client-workload
`
	if _, said, _ := strings.Cut(out.String(), "\n"); said != want || strings.Contains(log(), "entry create") {
		t.Errorf("%s\nwant\n%s", said, want)
	}
	c, _, _ = cluster(t, "entry show => 1 Error: connection refused\n")
	if err := c.Entries(context.Background()); err == nil || err.Error() != "spire-server entry show: Error: connection refused" {
		t.Errorf("%v", err)
	}
}

const requests = rollout + "get namespace spiffe-lab => " + isOurs + `
delete pod => 0 deleted
apply => 0 created
once get pod client-as-client => 0 {"status":{"phase":"Pending"}}
get pods => 0 {"items":[]}
get pod client-as-client => 0 {"metadata":{"creationTimestamp":"T"},"status":{"phase":"Succeeded","containerStatuses":[{"state":{"terminated":{"exitCode":0}}}]}}
get pod client-as-server => 0 {"metadata":{"creationTimestamp":"2026-11-28T12:00:00Z"},"status":{"phase":"Failed","containerStatuses":[{"state":{"terminated":{"exitCode":4}}}]}}
logs client-as-client => 0 Success!!!
logs client-as-server => 0 ` + alert + `
logs deployment/server --since-time 2026-11-28T12:00:00Z => 0 http: TLS handshake error from 10.0.0.7:1: unexpected ID "spiffe://example.org/server"
`

// TestBadID: each check of the scenario must fail if what it expects is missing.
func TestBadID(t *testing.T) {
	c, out, log := cluster(t, requests)
	if err := c.BadID(context.Background()); err != nil || strings.Count(out.String(), "  ok ") != 4 {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(log(), "serviceAccountName: server-workload") || !strings.Contains(log(), "name: client-as-server\n") {
		t.Errorf("ran:\n%s", log())
	}
	for name, change := range map[string][2]string{
		"the client is not served":   {"logs client-as-client => 0 Success!!!", "logs client-as-client => 0 something"},
		"another exit status":        {`"exitCode":4`, `"exitCode":0`},
		"other words of the client":  {alert, "connection refused"},
		"the server says nothing":    {`unexpected ID "spiffe://example.org/server"`, "EOF"},
		"the server names the other": {`unexpected ID "spiffe://example.org/server"`, `unexpected ID "spiffe://example.org/client"`},
	} {
		c, out, _ := cluster(t, strings.ReplaceAll(requests, change[0], change[1]))
		if err := c.BadID(context.Background()); err == nil || err.Error() != "1 of the expectations were not met" {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	c, _, _ = cluster(t, "get namespace spiffe-lab => 0\n")
	if err := c.BadID(context.Background()); err == nil || err.Error() != `the lab is not on the cluster of context "kind"` {
		t.Errorf("without a lab: %v", err)
	}
}
