package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/icmd"
)

const clientEntry = "-parentID spiffe://example.org/host -spiffeID spiffe://example.org/client -selector unix:user:client-workload"

// The expression restores matches the commands that bootstrap prints, so that a learner can restore the lab's entries.
var restores = regexp.MustCompile(`(?m)^ *(docker compose exec .*)$`)

// bootstrapped: bootstrap must create missing entries, must not change existing entries, and must stop if a command fails.
func bootstrapped(t *testing.T, l *lab) {
	entries := func() string {
		lines := lines(l.cli(t, "entry", "show"))
		return strings.Join(slices.DeleteFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, "Found") || strings.HasPrefix(line, "Revision")
		}), "\n")
	}
	// The assertion keeps: bootstrap succeeds, changes no entry, and prints the wanted texts.
	keeps := func(want ...string) string {
		t.Helper()
		before := entries()
		said := l.docker(t, "compose", "run", "--rm", "--no-deps", "bootstrap").Assert(t, icmd.Success).Combined()
		contains(t, said, append(want, "bootstrap: done")...)
		if after := entries(); after != before {
			t.Fatalf("the entries are not what they were:\n%s\nbefore:\n%s", after, before)
		}
		return said
	}
	said := keeps("entry for spiffe://example.org/host is as it should be", "entry for spiffe://example.org/server is as it should be",
		"entry for spiffe://example.org/client is as it should be")
	lacks(t, said, "differs")
	made := entries()

	type change string // arguments of `spire-server entry`, as a learner would type them
	for _, test := range []struct {
		name      string
		changes   []change
		says, not []string
		and       func()
	}{
		{
			name: "every field differs but its names",
			changes: []change{"update -entryID client " + clientEntry + " -selector unix:uid:1112 -x509SVIDTTL 60 -jwtSVIDTTL 30 -dns client.test -hint try -admin -downstream" +
				" -entryExpiry 4000000000 -jwtSVIDIncludeJTI"},
			says: []string{"The entry client differs from the lab's entry", "- X509-SVID TTL           : default", "+ X509-SVID TTL           : 60",
				"- JWT-SVID TTL            : default", "+ JWT-SVID TTL            : 30", "+ Selector                : unix:uid:1112", "+ DNS name                : client.test",
				"+ Hint                    : try", "+ Admin                   : true", "+ Downstream              : true", "+ Expiration time         : ", "+ JwtSvidIncludeJti       : true"},
			not: []string{": unix:user:client-workload"}, // a field that does not differ is not printed
		},
		{
			name:    "the entry ID client belongs to another SPIFFE ID: the lab starts nevertheless",
			changes: []change{"update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/other -selector unix:user:client-workload"},
			says:    []string{"+ SPIFFE ID               : spiffe://example.org/other"},
			and:     func() { l.docker(t, "compose", "up", "--detach").Assert(t, icmd.Success) },
		},
		{
			name: "it belongs to another parent, and the alias of the host to another agent",
			changes: []change{
				"update -entryID client -parentID spiffe://example.org/elsewhere -spiffeID spiffe://example.org/client -selector unix:user:client-workload",
				"update -entryID host -parentID spiffe://example.org/spire/server -spiffeID spiffe://example.org/host -selector spiffe_id:spiffe://example.org/spire/agent/x509pop/elsewhere",
			},
			says: []string{"+ Parent ID               : spiffe://example.org/elsewhere", "+ Selector                : spiffe_id:spiffe://example.org/spire/agent/x509pop/elsewhere"},
		},
		{
			name: "entries with other entry IDs give the lab's SPIFFE IDs",
			changes: []change{"delete -entryID client", "create " + clientEntry,
				"create -entryID second -parentID spiffe://example.org/host -spiffeID spiffe://example.org/server -selector unix:uid:1112"},
			says: []string{"- Entry ID                : client", "The entry second differs from the lab's entry"},
		},
		{
			name: "it belongs to another SPIFFE ID, and two entries give the client's",
			changes: []change{"update -entryID client -parentID spiffe://example.org/host -spiffeID spiffe://example.org/other -selector unix:user:guest-workload",
				"create -entryID second " + clientEntry, "create -entryID third " + clientEntry + " -selector unix:uid:1112"},
			says: []string{"The entry client differs from the lab's entry", "The entry second differs from the lab's entry", "The entry third differs from the lab's entry"},
		},
	} {
		for _, change := range test.changes {
			l.cli(t, append([]string{"entry"}, strings.Fields(string(change))...)...)
		}
		if test.and != nil {
			test.and()
		}
		t.Log(test.name)
		said := keeps(test.says...)
		lacks(t, said, test.not...)
		// The commands in the output restore the lab's own entries.
		for _, command := range restores.FindAllStringSubmatch(said, -1) {
			l.exec(t, nil, strings.Fields(command[1])...).Assert(t, icmd.Success)
		}
		if after := entries(); after != made {
			t.Fatalf("%s: what bootstrap printed does not restore the lab's own entries:\n%s\n%s", test.name, said, after)
		}
	}

	// A missing entry is created.
	l.cli(t, "entry", "delete", "-entryID", "client")
	said = l.docker(t, "compose", "run", "--rm", "--no-deps", "bootstrap").Assert(t, icmd.Success).Combined()
	contains(t, said, "spire-server entry create -entryID client "+clientEntry)
	if after := entries(); after != made {
		t.Fatalf("the entries are not the lab's own:\n%s", after)
	}
	l.served(t, time.Minute)

	// A command that fails stops bootstrap, which prints the command and its output.
	name := l.container("bootstrap")
	result := l.docker(t, "run", "--rm", "--network", "none", "--user", "0:0", "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE", "--label", "com.docker.compose.project=",
		"--label", "com.docker.compose.service=", "--volumes-from", name+":ro", l.inspect(t, "bootstrap").Config.Image, "/opt/spiffe-lab/bootstrap.sh")
	refused(t, result, 1, "bootstrap: 'spire-server x509 mint -spiffeID spiffe://example.org/node/host -ttl 8700h -write /run/host-credential' failed with exit status 1",
		"read-only file system")
	lacks(t, result.Combined(), "bootstrap: done")
}
