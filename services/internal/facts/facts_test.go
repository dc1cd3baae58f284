package facts

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const small = `## section: host
status: 0
  report 1
  project lab
  time 2026-11-25T19:31:56Z
  patience 2.4
  cut-off 

## section: containers
$ docker inspect
status: 0
  {"name":"/lab-client-1","service":"client","project":"lab","oneoff":"False","command":["client","-url","https://a/","-url=https://b/"],"user":"client-workload"}
  {"name":"/lab-client-run","service":"client","project":"lab","oneoff":"True","command":["svid"]}

## section: entries
status: no answer within 2.4 s

## section: file-passwd
status: 0
  client-workload:x:1112:1113:the client:/:/sbin/nologin

## section: file-server.conf
status: 0
  server {
      # bind_port = "1"
      bind_port    = "8081" # the usual one
  }

## section: log-client
status: 0
  2026-11-25T19:31:53.5Z ## section: not one
! an error

## end
`

func TestRead(t *testing.T) {
	f, err := Read(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if f.Host.Project != "lab" || f.Host.Cut != "" || f.Host.Patience != 2400*time.Millisecond || f.Host.Time.IsZero() {
		t.Errorf("host: %+v", f.Host)
	}
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
	if log := f.Log("client"); len(log) != 1 || log[0].Text != "## section: not one" || log[0].Time.IsZero() {
		t.Errorf("log: %+v", log)
	}
	if s := f.Section("log-client"); !s.OK() || s.Last() != "an error" {
		t.Errorf("section: %+v", s)
	}
	if s := f.Section("agents"); s.Answered() || s.Late() {
		t.Errorf("a section that is not there: %+v", s)
	}
}

// Each field of an entry, as SPIRE's CLI prints it. One that is not read is lost in every remedy.
func TestEntry(t *testing.T) {
	const printed = `{"additional_attributes":{"disable_x509_svid_prefetch":true,"jwt_svid_include_jti":true},"admin":true,"created_at":"1795635114","dns_names":["a","b"],` +
		`"downstream":true,"expires_at":"1900000000","federates_with":["partner.test"],"hint":"h","id":"i","jwt_svid_ttl":300,"parent_id":{"path":"/p","trust_domain":"d"},` +
		`"revision_number":"0","selectors":[{"type":"unix","value":"uid:1"}],"spiffe_id":{"path":"/s","trust_domain":"d"},"store_svid":true,"x509_svid_ttl":600}`
	f, err := Read(strings.NewReader(strings.Replace(small, "status: no answer within 2.4 s\n", "status: 0\n  {\"entries\":["+printed+"]}\n", 1)))
	if err != nil {
		t.Fatal(err)
	}
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
