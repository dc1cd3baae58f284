package facts

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
)

func small(sections ...*Section) *Facts {
	return New(Host{Project: "lab"}, nil, nil, append([]*Section{
		{Question: "containers", Status: "0", JSON: json.RawMessage(`[
			{"name":"lab-client-1","service":"client","project":"lab","oneoff":"False","command":["client","-url","https://a/","-url=https://b/"],"user":"client-workload"},
			{"name":"lab-client-run","service":"client","project":"lab","oneoff":"True","command":["svid"]}]`)},
		{Question: "entries", Status: "no answer within 2.4 s"},
		{Question: "agents", Status: "0", JSON: json.RawMessage(`{"agents":[`)},
		{Question: "bundle", Status: "0"},
		{Question: "file-passwd", Status: "0", Lines: []string{"client-workload:x:1112:1113:the client:/:/sbin/nologin"}},
		{Question: "file-server.conf", Status: "0", Lines: []string{"server {", `    # bind_port = "1"`, `    bind_port    = "8081" # the usual one`, "}"}},
		{Question: "log-client", Status: "0", Lines: []string{"2026-11-25T19:31:53.5Z a line"}, Errors: []string{"an error"}},
	}, sections...))
}

func TestNew(t *testing.T) {
	f := small()
	c := f.Service("client")
	if c == nil || c.Name != "lab-client-1" || c.Flag("url") != "https://b/" || c.Flag("server-id") != "" || c.Program() != "/opt/spiffe-lab/bin/client" {
		t.Fatalf("client: %+v", c)
	}
	if got, want := f.Derived(c), []string{"unix:uid:1112", "unix:user:client-workload", "unix:gid:1113", "unix:supplementary_gid:1113", "unix:path:/opt/spiffe-lab/bin/client"}; !slices.Equal(got, want) {
		t.Errorf("selectors %v, want %v", got, want)
	}
	if got := f.Setting("server.conf", "bind_port"); got != "8081" {
		t.Errorf("bind_port = %q", got)
	}
	if s := f.Section("entries"); s.Answered() || !s.Late() {
		t.Errorf("a section without an answer: %+v", s)
	}
	if log := f.Log("client"); len(log) != 1 || log[0].Text != "a line" || log[0].Time.IsZero() {
		t.Errorf("log: %+v", log)
	}
	if s := f.Section("log-client"); !s.OK() || s.Last() != "an error" {
		t.Errorf("section: %+v", s)
	}
	for _, name := range []string{"agents", "bundle", "bundles"} {
		if s := f.Section(name); s.Answered() || s.Late() {
			t.Errorf("what cannot be read, or is not there: %+v", s)
		}
	}
}

// TestFields: the fields of a line of SPIRE's log must be read. Other lines must have no fields.
func TestFields(t *testing.T) {
	for line, want := range map[string]string{
		`time="x" level=error msg="Agent crashed" error="a \"quoted\" word: tab\tend"`: "Agent crashed|a \"quoted\" word: tab\tend",
		`level=info msg=Configured admin_ids="[]"`:                                     "Configured|",
		`bootstrap: done`: "|",
		``:                "|",
		`msg="cut off`:    "|",
	} {
		if fields := Fields(line); fields["msg"]+"|"+fields["error"] != want {
			t.Errorf("%s has %q, want %q", line, fields, want)
		}
	}
}

// TestEntry: New must read every field that SPIRE's CLI prints for an entry. Otherwise the doctor's command `entry update` would delete a
// field that was not read.
func TestEntry(t *testing.T) {
	const printed = `{"additional_attributes":{"disable_x509_svid_prefetch":true,"jwt_svid_include_jti":true},"admin":true,"created_at":"1795635114","dns_names":["a","b"],` +
		`"downstream":true,"expires_at":"1900000000","federates_with":["partner.test"],"hint":"h","id":"i","jwt_svid_ttl":300,"parent_id":{"path":"/p","trust_domain":"d"},` +
		`"revision_number":"0","selectors":[{"type":"unix","value":"uid:1"}],"spiffe_id":{"path":"/s","trust_domain":"d"},"store_svid":true,"x509_svid_ttl":600}`
	f := New(Host{}, nil, nil, []*Section{{Question: "entries", Status: "0", JSON: json.RawMessage(`{"entries":[` + printed + "]}")}})
	want := Entry{ID: "i", SPIFFEID: ID{"d", "/s"}, ParentID: ID{"d", "/p"}, Selectors: []Selector{{"unix", "uid:1"}}, TTL: 600, JWTTTL: 300,
		FederatesWith: []string{"partner.test"}, DNSNames: []string{"a", "b"}, Hint: "h", ExpiresAt: 1900000000, StoreSVID: true, Admin: true, Downstream: true,
		Attributes: Attributes{DisableX509SVIDPrefetch: true, JWTSVIDIncludeJTI: true}}
	if len(f.Entries) != 1 || !reflect.DeepEqual(f.Entries[0], want) {
		t.Errorf("got  %+v\nwant %+v", f.Entries, want)
	}
}

func TestUserOf(t *testing.T) {
	f := &Facts{Users: []User{{Name: "root", UID: "0", GID: "0"}, {Name: "a", UID: "7", GID: "8"}}}
	for user, want := range map[string]User{
		"":     {Name: "root", UID: "0", GID: "0"},
		"a":    {Name: "a", UID: "7", GID: "8"},
		"7":    {Name: "a", UID: "7", GID: "8"},
		"7:9":  {Name: "a", UID: "7", GID: "9"},
		"12:3": {UID: "12", GID: "3"},
		"b":    {Name: "b"},
	} {
		if got := f.UserOf(&Container{User: user}); got != want {
			t.Errorf("%q is %+v, want %+v", user, got, want)
		}
	}
}
