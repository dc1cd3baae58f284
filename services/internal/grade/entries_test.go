package grade

import (
	"slices"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/report/reporttest"
)

// entryOf returns the client's entry as the SPIRE server's CLI prints it. The parameter changes has pairs of an old and a new text.
func entryOf(changes ...string) string {
	const entry = `{"admin":false,"created_at":"1795884928","dns_names":[],"downstream":false,"expires_at":"0","federates_with":[],"hint":"","id":"client","jwt_svid_ttl":0,` +
		`"parent_id":{"path":"/host","trust_domain":"example.org"},"revision_number":"0","selectors":[{"type":"unix","value":"user:client-workload"}],` +
		`"spiffe_id":{"path":"/client","trust_domain":"example.org"},"store_svid":false,"x509_svid_ttl":0}`
	return strings.NewReplacer(changes...).Replace(entry)
}

// withEntries replaces the client's entry in a report by these entries.
func withEntries(t *testing.T, report string, entries ...string) string {
	t.Helper()
	original := entryOf()
	if !strings.Contains(report, original) {
		t.Fatalf("the report has no entry %s", original)
	}
	if len(entries) == 0 {
		return strings.Replace(report, original+",", "", 1)
	}
	return strings.Replace(report, original, strings.Join(entries, ","), 1)
}

// judged returns the verdict for three reports: before the fault, with the fault, and now.
func judged(t *testing.T, before, broken, now string) []string {
	t.Helper()
	facts := reporttest.Parse(t, now)
	verdict := Judge(Snapshots{reporttest.Parse(t, before), reporttest.Parse(t, broken), facts, trialsOf(t, facts)}, false)
	if len(verdict.Unknown) > 0 {
		t.Fatalf("the grader cannot tell: %q", verdict.Unknown)
	}
	return verdict.Wrong
}

// TestEntryFields: the verdict must name each changed field and its flag, with the value now and the value before the fault.
func TestEntryFields(t *testing.T) {
	const (
		path   = `"type":"unix","value":"path:/opt/spiffe-lab/bin/client"`
		user   = `"type":"unix","value":"user:client-workload"`
		of     = "a registration entry for spiffe://example.org/client has a different "
		broken = `"x509_svid_ttl":2` // the fault changes this field, and the learner changes a different field
	)
	well := healthy(t)
	for _, c := range []struct {
		name     string
		old, new string
		want     string // empty if there must be no difference
	}{
		{"admin", `"admin":false`, `"admin":true`, of + "admin flag (-admin): set; before the fault it was not set"},
		{"downstream", `"downstream":false`, `"downstream":true`, of + "downstream flag (-downstream): set; before the fault it was not set"},
		{"storeSVID", `"store_svid":false`, `"store_svid":true`, of + "flag -storeSVID: set; before the fault it was not set"},
		{"hint", `"hint":""`, `"hint":"mine"`, of + "hint (-hint): mine; before the fault it was none"},
		{"federatesWith", `"federates_with":[]`, `"federates_with":["partner.test"]`, of + "list of federated trust domains (-federatesWith): partner.test; before the fault it was none"},
		{"DNS names", `"dns_names":[]`, `"dns_names":["b.test","a.test"]`, of + "list of DNS names (-dns): a.test b.test; before the fault it was none"},
		{"X.509-SVID TTL", `"x509_svid_ttl":0`, `"x509_svid_ttl":30`, of + "X.509-SVID TTL (-x509SVIDTTL): 30s; before the fault it was 1h0m0s"},
		{"X.509-SVID TTL, the default written out", `"x509_svid_ttl":0`, `"x509_svid_ttl":3600`, ""},
		{"JWT-SVID TTL", `"jwt_svid_ttl":0`, `"jwt_svid_ttl":60`, of + "JWT-SVID TTL (-jwtSVIDTTL): 1m0s; before the fault it was 5m0s"},
		{"JWT-SVID TTL, the default written out", `"jwt_svid_ttl":0`, `"jwt_svid_ttl":300`, ""},
		{"expiry", `"expires_at":"0"`, `"expires_at":"1900000000"`, of + "expiry (-entryExpiry): 2030-03-17T17:46:40Z; before the fault it was never"},
		{"prefetch", `"admin":false`, `"admin":false,"additional_attributes":{"disable_x509_svid_prefetch":true}`, of + "attribute disable_x509_svid_prefetch: set; before the fault it was not set"},
		{"JTI", `"admin":false`, `"admin":false,"additional_attributes":{"jwt_svid_include_jti":true}`, of + "attribute jwt_svid_include_jti: set; before the fault it was not set"},
		{"parent", `"path":"/host"`, `"path":"/host-2"`, of + "parent (-parentID): spiffe://example.org/host-2; before the fault it was spiffe://example.org/host"},
		{"parent, the agent's own SPIFFE ID", `"path":"/host"`, `"path":"/spire/agent/x509pop/host"`, ""},
		{"another selector", user, path, "an entry for spiffe://example.org/client lacks a selector that the entry had before the fault: it has the selectors unix:path:/opt/spiffe-lab/bin/client"},
		{"no selector", "{" + user + "}", "", "an entry for spiffe://example.org/client lacks a selector that the entry had before the fault: it has the selectors none"},
		{"one selector more", "{" + user + "}", "{" + user + "},{" + path + "}", ""},
		{"another entry ID", `"id":"client"`, `"id":"01hxyz"`, ""},
		{"another revision, made later", `"created_at":"1795884928"`, `"created_at":"1795889999"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			unsolved := withEntries(t, well, entryOf(`"x509_svid_ttl":0`, broken))
			if got := judged(t, well, unsolved, withEntries(t, well, entryOf(c.old, c.new))); !slices.Equal(got, want) {
				t.Errorf("now: %q, not %q", got, want)
			}
			// A field is no difference if it had the same value before the fault.
			if got := judged(t, withEntries(t, well, entryOf(c.old, c.new)), unsolved, withEntries(t, well, entryOf(c.old, c.new))); len(got) > 0 {
				t.Errorf("before and now: %q", got)
			}
		})
	}
}

// TestEntryMeaning: an entry in a different form must be right if it has the same meaning.
func TestEntryMeaning(t *testing.T) {
	well := healthy(t)
	rich := entryOf(`"dns_names":[]`, `"dns_names":["a.test","b.test"]`, `[{"type":"unix","value":"user:client-workload"}]`,
		`[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"uid:1112"}]`, `"federates_with":[]`, `"federates_with":["partner.test","third.test"]`)
	turned := entryOf(`"id":"client"`, `"id":"random"`, `"dns_names":[]`, `"dns_names":["b.test","a.test"]`, `[{"type":"unix","value":"user:client-workload"}]`,
		`[{"type":"unix","value":"uid:1112"},{"type":"unix","value":"user:client-workload"}]`, `"federates_with":[]`, `"federates_with":["third.test","partner.test"]`)
	set := func(report, value string) string {
		return edited(t, report, []edit{{"file-server.conf", `default_x509_svid_ttl = "1h"`, value}})
	}
	ttl := func(seconds string) string {
		return withEntries(t, well, entryOf(`"x509_svid_ttl":0`, `"x509_svid_ttl":`+seconds))
	}
	const still = "the client is served and everyone else is refused, but at least one registration entry still differs from before the fault"
	for _, c := range []struct {
		name                string
		before, broken, now string
		want                []string
	}{
		{"another order, another ID", withEntries(t, well, rich), withEntries(t, well), withEntries(t, well, turned), nil},
		{"the default is the SPIRE server's own", set(well, `default_x509_svid_ttl = "20m"`), set(ttl("2"), `default_x509_svid_ttl = "20m"`), set(ttl("1200"), `default_x509_svid_ttl = "20m"`), nil},
		{"an hour is not the default", set(well, `default_x509_svid_ttl = "20m"`), set(ttl("2"), `default_x509_svid_ttl = "20m"`), set(ttl("3600"), `default_x509_svid_ttl = "20m"`),
			[]string{"a registration entry for spiffe://example.org/client has a different X.509-SVID TTL (-x509SVIDTTL): 1h0m0s; before the fault it was 20m0s"}},
		{"no default in server.conf", set(well, ""), set(ttl("2"), ""), set(ttl("3600"), ""), nil},
		{"written out before, the default now", ttl("3600"), ttl("2"), well, nil},
		{"not fixed", well, ttl("2"), ttl("2"), []string{still}},
		{"a right entry beside the wrong one", well, withEntries(t, well, entryOf("/client", "/cleint")),
			withEntries(t, well, entryOf("/client", "/cleint"), entryOf(`"id":"client"`, `"id":"0-client"`)), []string{still}},
		{"another new entry beside the wrong one", well, withEntries(t, well, entryOf("/client", "/cleint")),
			withEntries(t, well, entryOf("/client", "/cleint"), entryOf(`"id":"client"`, `"id":"x"`), entryOf(`"id":"client"`, `"id":"y"`, "/client", "/mine")),
			[]string{"there is a registration entry for a SPIFFE ID that had none before the fault: spiffe://example.org/mine"}},
		{"what is fixed, and another field changed with it", well, ttl("2"), withEntries(t, well, entryOf(`"admin":false`, `"admin":true`)),
			[]string{"a registration entry for spiffe://example.org/client has a different admin flag (-admin): set; before the fault it was not set"}},
		{"not fixed, and another field changed: the cause is not told", well, ttl("2"), withEntries(t, well, entryOf(`"x509_svid_ttl":0`, `"x509_svid_ttl":2`, `"hint":""`, `"hint":"mine"`)),
			[]string{"a registration entry for spiffe://example.org/client has a different hint (-hint): mine; before the fault it was none"}},
		{"a second entry that is broader", well, ttl("2"), withEntries(t, well, entryOf(), entryOf(`"id":"client"`, `"id":"x"`, "user:client-workload", "gid:1112")),
			[]string{"an entry for spiffe://example.org/client lacks a selector that the entry had before the fault: it has the selectors unix:gid:1112"}},
		{"deleted and not made again", well, ttl("2"), withEntries(t, well), []string{"a registration entry from before the fault is missing: spiffe://example.org/client"}},
		{"a report that did not know the entries", edited(t, well, []edit{{"entries", "status: 0", "status: not asked: spire-server is missing"}}), well, well, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := judged(t, c.before, c.broken, c.now); !slices.Equal(got, c.want) {
				t.Errorf("it says\n  %s\nnot\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

// TestTwoFaults: a learner who has fixed one of two faults must learn where something still differs, but not what.
func TestTwoFaults(t *testing.T) {
	const still, differs = "the client is served and everyone else is refused, but ", " still differs from before the fault"
	well := healthy(t)
	entry := entryOf(`"hint":""`, `"hint":"wrong"`)
	privileged := []edit{service(t, well, "spire-agent", `"privileged":false`, `"privileged":true`)}
	both := edited(t, withEntries(t, well, entry), privileged)
	for _, c := range []struct {
		name, now string
		want      []string
	}{
		{"none is fixed", both, []string{still + "at least one registration entry" + differs, still + "the container spire-agent" + differs}},
		{"the entry is fixed", edited(t, well, privileged), []string{still + "the container spire-agent" + differs}},
		{"the container is fixed", withEntries(t, well, entry), []string{still + "at least one registration entry" + differs}},
		{"both are fixed", well, nil},
	} {
		if got := judged(t, well, both, c.now); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
	// As long as a problem is visible to a learner, the verdict must name only this problem. When no problem is visible any more, the verdict
	// must name the other differences.
	refused := []edit{{"trial-client", "status: 0\n  Success!!!", "status: 3\n  client: no identity"}, {"trial-running", "status: 0", "status: 1\n  unhealthy"}}
	seen := edited(t, both, refused)
	if got, want := judged(t, well, seen, seen), []string{"the client is not served; the last line that the program client printed: client: no identity"}; !slices.Equal(got, want) {
		t.Errorf("the client is not served: %q, not %q", got, want)
	}
	if got := judged(t, well, seen, both); len(got) != 2 {
		t.Errorf("the client is served again: %q", got)
	}
}

// TestEmptyBefore: an answer that is missing in the report before the fault must not count as a difference.
func TestEmptyBefore(t *testing.T) {
	well := healthy(t)
	// The client's entry had the hash of the client's program. The observer is a different program, so it got no SVID.
	const sum = `"selectors":[{"type":"unix","value":"user:client-workload"},{"type":"unix","value":"sha256:aa"}]`
	blind := edited(t, well, []edit{
		{"entries", `"selectors":[{"type":"unix","value":"user:client-workload"}]`, sum},
		{"observer-client-workload", `"svids":[`, `"svids":[],"was":[`},
		{"observer-client-workload", `"bundles":[`, `"bundles":[],"had":[`},
	})
	want := []string{"an entry for spiffe://example.org/client lacks a selector that the entry had before the fault: it has the selectors unix:user:client-workload"}
	if got := judged(t, blind, blind, well); !slices.Equal(got, want) {
		t.Errorf("a roll-back: %q, not %q", got, want)
	}
	for _, section := range []string{"bundle", "bundles", "agents", "file-agent.conf", "observer-client-workload", "observer-server-workload", "observer-guest-workload"} {
		before := edited(t, well, []edit{{section, "status: 0", "status: not asked: it was not there"}})
		if got := judged(t, before, well, well); len(got) > 0 {
			t.Errorf("a report before without %s: %q", section, got)
		}
	}
	silent := edited(t, well, []edit{{"observer-server-workload", `"listening":[`, `"silent":[`}, {"observer-client-workload", `"processes":[`, `"silent":[`}})
	if got := judged(t, silent, silent, well); len(got) > 0 {
		t.Errorf("a report before without processes and ports: %q", got)
	}
}

// TestLifetime: the grader must see a changed lifetime of an SVID, wherever the lifetime was set.
func TestLifetime(t *testing.T) {
	well := healthy(t)
	short := edited(t, well, []edit{{"observer-client-workload", `"notAfter":"2026-11-28T17:55:30Z"`, `"notAfter":"2026-11-28T16:55:32Z"`}})
	renewed := edited(t, well, []edit{{"observer-client-workload", `"notBefore":"2026-11-28T16:55:20Z","notAfter":"2026-11-28T17:55:30Z"`, `"notBefore":"2026-11-28T18:00:20Z","notAfter":"2026-11-28T19:00:30Z"`}})
	if got, want := judged(t, well, short, short), []string{"the SVID of client-workload is valid for 12s; before the fault it was valid for 1h0m10s"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	if got := judged(t, well, short, renewed); len(got) > 0 {
		t.Errorf("a renewed SVID: %q", got)
	}
}

// TestAlias: an entry whose parent is the SPIRE server is an alias of agents. The verdict must not say that a process can get the SPIFFE ID
// of this entry.
func TestAlias(t *testing.T) {
	well := healthy(t)
	alias := func(agent string) string {
		return withEntries(t, well, entryOf(), entryOf(`"id":"client"`, `"id":"host"`, `"path":"/client"`, `"path":"/host"`, `"parent_id":{"path":"/host"`, `"parent_id":{"path":"/spire/server"`,
			`"type":"unix","value":"user:client-workload"`, `"type":"spiffe_id","value":"spiffe://example.org/spire/agent/`+agent+`"`))
	}
	before := alias("x509pop/host")
	want := []string{"a registration entry for spiffe://example.org/host has a different list of selectors (-selector): spiffe_id:spiffe://example.org/spire/agent/x509pop/spare; " +
		"before the fault it was spiffe_id:spiffe://example.org/spire/agent/x509pop/host"}
	if got := judged(t, before, before, alias("x509pop/spare")); !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}
