package scenario

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// must runs a command that is not a check. If the exit status is not 0, must returns an error with the text of the parameter otherwise.
func (r *run) must(ctx context.Context, otherwise string, words ...string) error {
	if err := r.command(ctx, words); err != nil {
		return err
	}
	if r.exitStatus != 0 {
		return failf("%s", otherwise)
	}
	return nil
}

func (r *run) succeeds(ctx context.Context, why string, words ...string) error {
	if err := r.command(ctx, words); err != nil {
		return err
	}
	return r.expectSuccess(ctx, []string{why})
}

// inServer returns a command line that runs the SPIRE server's program.
func inServer(service string, args ...string) []string {
	return append([]string{"docker", "compose", "exec", service, lab.SPIREServerCLI}, args...)
}

// extras starts services of scripts/scenarios/extras.yaml.
func (r *run) extras(ctx context.Context, services []string) error {
	for _, service := range services {
		if !slices.Contains(lab.Extras, service) {
			return failf("extras: %s is not a service of scripts/scenarios/extras.yaml", service)
		}
	}
	if err := r.lab.NeedTools(ctx, r.out); err != nil {
		return failf("the image of the tools cannot be built: %v", err)
	}
	return r.must(ctx, "could not start "+strings.Join(services, " "), append(strings.Fields("docker compose up --detach --no-deps"), services...)...)
}

// present starts a stopped service, and waits until a new client and the running client are served.
func (r *run) present(ctx context.Context, args []string) error {
	if err := r.command(ctx, append(strings.Fields("docker compose up --detach --no-deps"), args[0])); err != nil {
		return err
	}
	if err := r.expectSoon(ctx, append([]string{"30", "Success!!!", "the client is served"},
		strings.Fields("docker compose exec --user "+lab.ClientUser+" client client")...)); err != nil {
		return err
	}
	const why = "the client that has been running all the time is served too"
	held, err := r.wait(ctx, 60, why, func() (bool, error) { return r.lab.ClientServed(ctx) == nil, nil })
	if err == nil && !held {
		err = failf("%s: not within 60 s", why)
	}
	if err != nil {
		return err
	}
	return r.ok(why)
}

// labEntry sets every field of a workload's registration entry to bootstrap's value, and adds the fields that the caller passes. An update
// without a mask replaces every field, so the command has all fields.
func (r *run) labEntry(ctx context.Context, service, why string, fields ...string) error {
	for _, workload := range lab.Workloads {
		if workload.Service == service {
			return r.succeeds(ctx, why, inServer(lab.SPIREServer, append([]string{"entry", "update", "-entryID", service, "-parentID", lab.HostID,
				"-spiffeID", workload.ID, "-selector", "unix:user:" + workload.User}, fields...)...)...)
		}
	}
	return failf("%s has no registration entry of the lab: want server or client", service)
}

func both(services []string) []string {
	if len(services) == 0 {
		return []string{lab.Server, lab.Client}
	}
	return services
}

// shortLived limits the lifetime of the services' SVIDs to a number of seconds, and waits until the running programs hold SVIDs with that
// lifetime.
func (r *run) shortLived(ctx context.Context, args []string) error {
	seconds, services := args[0], both(args[1:])
	for _, service := range services {
		if err := r.labEntry(ctx, service, "SVIDs of "+service+" are valid for "+seconds+" s from now on", "-x509SVIDTTL", seconds); err != nil {
			return err
		}
	}
	return r.expectLeft(ctx, append([]string{"most", seconds, "15", "the running " + strings.Join(services, " and ") + " hold SVIDs with that lifetime"}, services...))
}

// usualLives is a step that restores the usual lifetime of SVIDs.
func (r *run) usualLives(ctx context.Context, args []string) error {
	if err := r.step(ctx, []string{"SVIDs have their usual lifetime again"}); err != nil {
		return err
	}
	for _, service := range both(args) {
		if err := r.labEntry(ctx, service, "the entry for "+service+" has the default TTL again"); err != nil {
			return err
		}
	}
	return r.expectLeft(ctx, []string{"least", "600", "60", "both programs hold an SVID with the usual lifetime", lab.Server, lab.Client})
}

// forge uses openssl in an extra service to create a separate CA (ca.pem), and a certificate from this CA (NAME.pem, NAME.key). Except for
// its CA, the certificate is a correct X.509-SVID.
func (r *run) forge(ctx context.Context, args []string) error {
	service, name, id := args[0], args[1], args[2]
	openssl := append([]string{"docker", "compose", "exec", service}, strings.Fields("openssl req -x509 -batch -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc")...)
	if err := r.must(ctx, "the home-made CA could not be made", slices.Concat(openssl, []string{"-keyout", "ca.key", "-out", "ca.pem",
		"-subj", "/O=Home-made CA", "-addext", "basicConstraints=critical,CA:TRUE"})...); err != nil {
		return err
	}
	return r.must(ctx, "the home-made certificate could not be made", slices.Concat(openssl, []string{"-CA", "ca.pem", "-CAkey", "ca.key",
		"-keyout", name + ".key", "-out", name + ".pem", "-subj", "/O=SPIRE", "-addext", "basicConstraints=critical,CA:FALSE",
		"-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=serverAuth,clientAuth", "-addext", "subjectAltName=URI:" + id})...)
}

var tokenLine = regexp.MustCompile(`(?m)^Token: (\S+)`)

// join starts an extra host. The agent of this host attests to a SPIRE server with a join token, and gets an alias. The script can read the
// token as $token.
func (r *run) join(ctx context.Context, args []string) error {
	host, server, alias := args[0], args[1], args[2]
	if err := r.extras(ctx, []string{host}); err != nil {
		return err
	}
	held, err := r.wait(ctx, 30, server+" answers", func() (bool, error) {
		return r.lab.Exec(ctx, io.Discard, io.Discard, server, "", lab.SPIREServerCLI, "healthcheck") == nil, nil
	})
	if err != nil {
		return err
	}
	if !held {
		return failf("%s does not answer", server)
	}
	if err := r.succeeds(ctx, host+" has the trust bundle, so its agent can authenticate the SPIRE server",
		"docker", "compose", "exec", "-T", server, lab.SPIREServerCLI, "bundle", "show", "|",
		"docker", "compose", "exec", "-T", host, "sh", "-c", "cat >"+lab.ScratchDir+"/bundle.pem"); err != nil {
		return err
	}
	if err := r.command(ctx, inServer(server, "token", "generate", "-spiffeID", alias)); err != nil {
		return err
	}
	found := tokenLine.FindStringSubmatch(r.output)
	if found == nil {
		return failf("%s generated no token", server)
	}
	r.mu.Lock()
	r.token = found[1]
	r.mu.Unlock()
	if err := r.command(ctx, []string{"docker", "compose", "exec", "--detach", host, "spire-agent", "run", "-config", "/etc/spire/" + host + "/agent.conf",
		"-joinToken", r.token, "-logFile", "/proc/1/fd/1"}); err != nil {
		return err
	}
	for _, expected := range [][]string{
		{host, "Node attestation was successful.*/spire/agent/join_token/" + r.token + `"`, "its agent has joined"},
		{server, "Agent attestation request completed.*/spire/agent/join_token/" + r.token + `"`, server + " has authenticated it by the token"},
		{host, "Starting agent APIs", "it serves the Workload API to the workloads of " + host},
	} {
		if err := r.expectLog(ctx, expected); err != nil {
			return err
		}
	}
	return nil
}

// expectRefused checks that the server refuses a client with the certificate in the arguments, or without a certificate. The command curl
// must not be served, and openssl must read the alert in the arguments. For each of these two commands, the server must log a failed
// handshake with a matching reason.
func (r *run) expectRefused(ctx context.Context, args []string) error {
	alert, why, certificate := args[0], args[2], args[3:]
	regex := "TLS handshake error from [^ ]+: " + args[1]
	path := "/" + r.script.Name
	tools := strings.Fields("docker compose exec " + lab.Tools)
	if err := r.command(ctx, slices.Concat(tools, []string{"curl", "-sSk"}, certificate, []string{"https://server:8443" + path})); err != nil {
		return err
	}
	if err := r.expectNoOutput(ctx, []string{"Success!!!", "curl is not served"}); err != nil {
		return err
	}
	if err := r.expectLog(ctx, []string{lab.Server, regex, why}); err != nil {
		return err
	}
	if err := r.expectNoLog(ctx, []string{lab.Server, `"` + path + `"`, "no request came through"}); err != nil {
		return err
	}
	if err := r.explain(ctx, []string{"curl sends its request before it reads the refusal, so its message differs from run to run. The next command sends nothing and reads the alert. It prints CONNECTION ESTABLISHED first, because in TLS 1.3 the client's part of the handshake is complete when the refusal arrives."}); err != nil {
		return err
	}
	if err := r.markLogs(ctx); err != nil {
		return err
	}
	if err := r.command(ctx, slices.Concat(tools, []string{"openssl", "s_client", "-connect", "server:8443"}, certificate, []string{"-brief", "-ign_eof"})); err != nil {
		return err
	}
	if err := r.expectExit(ctx, []string{"1", "the connection failed"}); err != nil {
		return err
	}
	if err := r.expectOutput(ctx, []string{"alert " + alert, "openssl reads the alert: " + alert}); err != nil {
		return err
	}
	return r.expectLog(ctx, []string{lab.Server, regex, "the server refused it for the same reason"})
}

// tidy removes what any scenario may leave behind: the extras, entries whose ID begins with "scenario-", and two volumes. Entries that a
// learner created stay.
func (r *run) tidy(ctx context.Context) error {
	containers, err := r.lab.Containers(ctx)
	if err != nil {
		return err
	}
	remove := strings.Fields("docker rm --force")
	for _, container := range containers {
		if slices.Contains(lab.Extras, container.Service) {
			remove = append(remove, container.ID)
		}
	}
	if len(remove) > 3 {
		if err := r.quietly(ctx, remove...); err != nil {
			return err
		}
	}
	held, err := r.wait(ctx, 30, "the SPIRE server answers", func() (bool, error) { return r.serverCLI(ctx, io.Discard, "healthcheck") == nil, nil })
	if err != nil {
		return err
	}
	if !held {
		return failf("the SPIRE server does not answer")
	}
	var entries bytes.Buffer
	if err := r.serverCLI(ctx, &entries, "entry", "show"); err != nil {
		return err
	}
	for _, found := range scenarioEntry.FindAllStringSubmatch(entries.String(), -1) {
		if err := r.serverCLI(ctx, io.Discard, "entry", "delete", "-entryID", found[1]); err != nil {
			return err
		}
	}
	return r.quietly(ctx, "docker", "volume", "rm", "--force", r.Project+"_spire-server-empty-disk", r.Project+"_trust-bundle")
}

var scenarioEntry = regexp.MustCompile(`(?m)^Entry ID *: (` + regexp.QuoteMeta(lab.ScenarioEntry) + `\S*)`)

// quietly runs a docker command without printing it.
func (r *run) quietly(ctx context.Context, words ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var out LockedBuffer
	status, err := r.lab.Run(ctx, nil, words, nil, &out, &out)
	if err == nil && status != 0 {
		err = failf("%s: exit status %s: %s", typed(words), strconv.Itoa(status), engine.LastLine(out.String()))
	}
	return err
}
