package cause

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// The constant everything has the fields of an entry that a remedy must not lose. Some values have characters that a shell would interpret.
const everything = `"dns_names":["web.example.org","api.example.org"],"federates_with":["partner.test"],"hint":"it's $HOME; \"internal\"","x509_svid_ttl":600,"jwt_svid_ttl":120,` +
	`"expires_at":"1900000000","store_svid":true,"additional_attributes":{"disable_x509_svid_prefetch":true,"jwt_svid_include_jti":true}`

const spaced = "supplementary_group:the `staff` & it's friends"

// own replaces the client's entry by the entry that the parameters describe.
func own(id, path, parent, more string, selectors ...string) edit {
	return replaced("client", entryWith(id, path, parent, more, selectors...))
}

func entryWith(id, path, parent, more string, selectors ...string) string {
	var list []string
	for _, s := range selectors {
		kind, value, _ := strings.Cut(s, "=")
		list = append(list, fmt.Sprintf(`{"type":%q,"value":%q}`, kind, value))
	}
	return fmt.Sprintf(`{"id":%q,"spiffe_id":{"trust_domain":"example.org","path":%q},"parent_id":{"trust_domain":"example.org","path":%q},"selectors":[%s]%s}`,
		id, path, parent, strings.Join(list, ","), more)
}

// replaced replaces the entry with the entry ID id by the entries of the parameter entries.
func replaced(id string, entries ...string) edit {
	return func(t *testing.T, report string) string {
		t.Helper()
		before, body, after := cut(t, report, "entries")
		head := strings.Index(body, `{"entries":[`) + len(`{"entries":[`)
		at := strings.Index(body, fmt.Sprintf(`"id":%q`, id))
		if at < 0 {
			t.Fatalf("there is no entry %s", id)
		}
		from := strings.LastIndex(body[:at], `{"admin"`)
		to := at + strings.Index(body[at:], `"x509_svid_ttl":0}`) + len(`"x509_svid_ttl":0}`)
		rest := strings.Trim(body[head:from]+strings.TrimPrefix(body[to:], ","), ",")
		rest = strings.ReplaceAll(rest, ",]", "]")
		list := strings.Join(entries, ",")
		if list != "" && !strings.HasPrefix(rest, "]") {
			list += ","
		}
		return before + body[:head] + list + rest + after
	}
}

const user = "unix=user:client-workload"

// remedies has changes of the healthy report. For each of them it has the only change that the remedy's command may make to the entries.
var remedies = []struct {
	code, name string
	edits      []edit
	change     string // update, create or delete
	id         string // the entry ID of the changed entry, or "" if the SPIRE server generates it
	right      func(e *facts.Entry)
	says       string // a text that the remedy must have before the command
}{
	{"LAB062", "the alias names a different agent", []edit{replaced("host", entryWith("host", "/host", "/spire/server", ","+everything, "spiffe_id=spiffe://example.org/spire/agent/x509pop/hots"))}, "update", "host", func(e *facts.Entry) { e.Selectors = hostEntry().Selectors }, ""},
	{"LAB062", "the alias has the wrong parent, and one selector more", []edit{replaced("host", entryWith("host", "/host", "/hosts", ","+everything, fingerprint, "spiffe_id="+lab.AgentID))}, "update", "host", func(e *facts.Entry) { e.ParentID = parsed(aliasOf) }, ""},
	{"LAB062", "the alias has the wrong SPIFFE ID", []edit{replaced("host", entryWith("host", "/hots", "/spire/server", ","+everything, "spiffe_id="+lab.AgentID))}, "update", "host", func(e *facts.Entry) { e.SPIFFEID = parsed(lab.HostID) }, ""},
	{"LAB062", "there is no alias", []edit{replaced("host")}, "create", "host", hostOwn, ""},
	{"LAB062", "the alias of another host", []edit{replaced("host", entryWith("b", "/host", "/spire/server", "", "spiffe_id=spiffe://example.org/spire/agent/x509pop/host-b"))}, "create", "host", hostOwn, ""},
	{"LAB062", "an entry of somebody else is called host", []edit{replaced("host", entryWith("host", "/b", "/spire/server", "", "spiffe_id=spiffe://example.org/spire/agent/x509pop/host-b"))}, "create", "", hostOwn, "(the ID host is taken)"},
	{"LAB063", "no entry", []edit{denied("client-workload"), replaced("client")}, "create", "client", clientOwn, ""},
	{"LAB063", "an entry of somebody else is called client", []edit{denied("client-workload"), own("client", "/other", "/host", "", "unix=uid:1113")}, "create", "", clientOwn, "(the ID client is taken)"},
	{"LAB064", "the entry client has another SPIFFE ID", []edit{own("client", "/other", "/host", ","+everything, user, "unix=gid:1112")}, "update", "client", func(e *facts.Entry) { e.SPIFFEID = parsed(lab.ClientID) }, ""},
	{"LAB064", "and another host's client has the right one", []edit{own("client", "/cleint", "/host", "", user), extra(entryWith("b", "/client", "/host-b", "", user))}, "update", "client", func(e *facts.Entry) { e.SPIFFEID = parsed(lab.ClientID) }, ""},
	{"LAB064", "an entry of another program of this user", []edit{own("report", "/report", "/host", "", user)},
		"create", "client", clientOwn, "leave the entry report"},
	{"LAB065", "a wrong parent", []edit{denied("client-workload"), own("client", "/client", "/elsewhere", ","+everything, user)}, "update", "client", func(e *facts.Entry) { e.ParentID = parsed(lab.HostID) }, ""},
	{"LAB065", "the entry of another host", []edit{denied("client-workload"), own("client-on-host-b", "/client", "/host-b", ","+everything, user)}, "create", "client", clientOwn, "leave the entry client-on-host-b"},
	{"LAB065", "the entry of another host, and its own in the wrong place", []edit{denied("client-workload"), own("client", "/client", "/elsewhere", "", user), extra(entryWith("a", "/client", "/host-b", "", user))}, "update", "client", func(e *facts.Entry) { e.ParentID = parsed(lab.HostID) }, ""},
	{"LAB066", "an old hash", []edit{denied("client-workload"), own("client", "/client", "/host", ","+everything, user, "unix=sha256:00")}, "update", "client", func(e *facts.Entry) { e.Selectors[1].Value = "sha256:" + sumOfClient }, "find out why"},
	{"LAB067", "a wrong path, between right ones", []edit{denied("client-workload"), own("client", "/client", "/host", ","+everything, user, "unix=path:/usr/local/bin/client", "unix=gid:1112")}, "update", "client", func(e *facts.Entry) { e.Selectors[1].Value = "path:/opt/spiffe-lab/bin/client" }, "correct unix:path:/usr/local/bin/client and keep"},
	{"LAB067", "the wrong user", []edit{denied("client-workload"), own("client", "/client", "/host", ","+everything, "unix=user:guest-workload", "unix=gid:1112")}, "update", "client", func(e *facts.Entry) { e.Selectors[0].Value = "user:client-workload" }, ""},
	{"LAB067", "a group that no program has", []edit{denied("client-workload"), own("client", "/client", "/host", ","+everything, "unix="+spaced, "unix=gid:1112")}, "update", "client", func(e *facts.Entry) {
		e.Selectors = []facts.Selector{{Type: "unix", Value: "gid:1112"}, {Type: "unix", Value: "user:client-workload"}}
	}, ""},
	{"LAB067", "an entry by which the guest gets it", []edit{denied("client-workload"), own("staging", "/client", "/host", "", "unix=user:guest-workload")}, "create", "client", clientOwn, ""},
	{"LAB068", "two entries", []edit{extra(entryFor("z", "/last", "/host", "uid:1112", "")), extra(entryFor("a", "/other", "/host", "uid:1112", "")),
		in("observer-client-workload", `"svids":[`, `"svids":[{"id":"spiffe://example.org/other","notBefore":"2026-11-25T19:31:44Z","notAfter":"2026-11-25T20:31:54Z"},`)}, "delete", "a", nil, "Only if no workload needs the entry for the other SPIFFE ID"},
	{"LAB072", "short-lived", []edit{own("client", "/client", "/host", ","+strings.ReplaceAll(everything, ":600", ":5"), user, "unix=gid:1112")}, "update", "client", func(e *facts.Entry) { e.TTL = 0 }, ""},
	{"LAB111", "every user that runs the program", []edit{own("client", "/client", "/host", ","+everything, "unix=path:/opt/spiffe-lab/bin/client"), answers("bundles", "0", `{"bundles":[{"trust_domain":"partner.test"}]}`)}, "update", "client", func(e *facts.Entry) {
		e.Selectors = append(e.Selectors, facts.Selector{Type: "unix", Value: "user:client-workload"})
	}, ""},
	{"LAB111", "a second entry", []edit{extra(entryWith("staging", "/client", "/host", "", "unix=user:guest-workload"))}, "delete", "staging", nil, "If no other program"},
	{"LAB112", "two identities", []edit{extra(entryFor("z", "/other", "/host", "uid:1112", ""))}, "delete", "z", nil, "Only if no workload needs the entry for the other SPIFFE ID"},
	{"LAB112", "one below a workload's SPIFFE ID", []edit{extra(entryFor("z", "/other", "/client", "uid:1112", ""))}, "delete", "z", nil, ""},
	{"LAB116", "an admin", []edit{extra(entryWith("ops", "/ops", "/host", `,"admin":true,`+everything, "unix=uid:7", "unix="+spaced))}, "update", "ops", func(e *facts.Entry) { e.Admin = false }, "ask who set the flag"},
	{"LAB116", "downstream", []edit{extra(entryWith("nested", "/nested", "/host-b", `,"downstream":true,`+everything, "unix=uid:7"))}, "update", "nested", func(e *facts.Entry) { e.Downstream = false }, "replace the CA"},
}

// These values come from the recorded report: the SHA-256 hash of the client, and a selector of the host's agent.
var (
	sumOfClient = recorded.Observations["client-workload"].Programs["/opt/spiffe-lab/bin/client"]
	fingerprint = func() string {
		for _, s := range recorded.Agents[0].Selectors {
			if strings.HasPrefix(s.Value, "ca:fingerprint:") {
				return "x509pop=" + s.Value
			}
		}
		return ""
	}()
)

func hostOwn(e *facts.Entry)   { *e = hostEntry() }
func clientOwn(e *facts.Entry) { *e = workloads[1].entry() }

// TestRemedies: the printed command must correct the wrong fields, and must not change any other field of any entry.
func TestRemedies(t *testing.T) {
	for _, test := range remedies {
		t.Run(test.code+" "+test.name, func(t *testing.T) {
			f := read(t, test.edits...)
			v := Judge(f, false)
			if v.Finding == nil || v.Finding.Code != test.code {
				t.Fatalf("want %s, got\n%s", test.code, v.Text())
			}
			command := printed(t, v.Text())
			if command != v.Finding.Command {
				t.Errorf("printed %q\nis not   %q", command, v.Finding.Command)
			}
			if !strings.Contains(v.Finding.Do, test.says) {
				t.Errorf("%q does not say %q", v.Finding.Do, test.says)
			}
			words := split(t, command)
			if words[0] != test.change {
				t.Fatalf("it is %s, want %s: %s", words[0], test.change, command)
			}
			want := slices.Clone(f.Entries)
			switch test.change {
			case "create":
				var e facts.Entry
				test.right(&e)
				e.ID = test.id
				want = append(want, e)
			case "update":
				i := slices.IndexFunc(want, func(e facts.Entry) bool { return e.ID == test.id })
				want[i].Selectors = slices.Clone(want[i].Selectors)
				test.right(&want[i])
			case "delete":
				want = slices.DeleteFunc(want, func(e facts.Entry) bool { return e.ID == test.id })
			}
			is := apply(t, f.Entries, words)
			if len(is) != len(want) {
				t.Fatalf("%d entries, want %d: %s", len(is), len(want), command)
			}
			for i := range is {
				if got, want := fmt.Sprintf("%+v", is[i]), fmt.Sprintf("%+v", want[i]); got != want {
					t.Errorf("%s\ngot  %s\nwant %s", command, got, want)
				}
			}
		})
	}
}

// TestEveryRemedyIsTested: each code whose remedy is a command on entries must be in the table remedies.
func TestEveryRemedyIsTested(t *testing.T) {
	tested := map[string]bool{}
	for _, r := range remedies {
		tested[r.code] = true
	}
	for _, c := range cases {
		v := Judge(read(t, c.edits...), false)
		if v.Finding != nil && strings.Contains(v.Finding.Command, "spire-server entry ") && !tested[v.Finding.Code] {
			t.Errorf("%s proposes an entry command, and is not in the table: %s", v.Finding.Code, v.Finding.Command)
		}
	}
	for code, text := range source(t) {
		for _, call := range []string{"update(", "create(", "remove(", ".creating("} {
			if strings.Contains(text, call) && !tested[code] {
				t.Errorf("%s calls %s, and is not in the table", code, call)
			}
		}
	}
}

// TestWarnings: a remedy that can do harm must first say what the learner must know, ask or check.
func TestWarnings(t *testing.T) {
	for _, want := range []struct{ code, first, then string }{
		{"LAB002", "usermod", "as powerful as root"},
		{"LAB032", "reset the lab", "delete entries"},
		{"LAB045", "do not run bootstrap", "--no-deps spire-server"},
		{"LAB045", "old volume", "docker compose up --detach"},
		{"LAB052", "keep the ban", "agent evict -spiffeID"},
		{"LAB066", "find out why", "entry update"},
		{"LAB068", "Only if no workload needs the entry for the other SPIFFE ID", "entry delete"},
		{"LAB069", "Once the agent reaches the SPIRE server", "do not restart"},
		{"LAB103", "find out who needs that container", "docker stop"},
		{"LAB112", "Only if no workload needs the entry for the other SPIFFE ID", "entry delete"},
		{"LAB116", "ask who set the flag", "entry update"},
	} {
		if !slices.ContainsFunc(cases, func(c example) bool {
			_, rest, ok := strings.Cut(Judge(read(t, c.edits...), false).Finding.Do, want.first)
			return ok && c.code == want.code && strings.Contains(rest, want.then)
		}) {
			t.Errorf("%s never says %q, and then %q", want.code, want.first, want.then)
		}
	}
}

// TestNoCommand: if a value cannot be typed, or if the report hides it, the remedy must have no command with an
// invented value.
func TestNoCommand(t *testing.T) {
	for _, value := range []string{"path:/a\\u0007b", "path:/a\\u202eb", "path:~/client", "path:./client", "label:token:(taken out)"} {
		v := Judge(read(t, denied("client-workload"), replaced("client", fmt.Sprintf(
			`{"id":"client","spiffe_id":{"trust_domain":"example.org","path":"/client"},"parent_id":{"trust_domain":"example.org","path":"/elsewhere"},"selectors":[{"type":"unix","value":"%s"}]}`, value))), false)
		if v.Finding == nil || v.Finding.Code != "LAB065" || v.Finding.Command != "" || strings.Contains(v.Text(), "docker compose exec") || !strings.Contains(v.Text(), "copy that field from the output of") {
			t.Errorf("%s: %s", value, v.Text())
		}
	}
}

// TestLongCommand: the line with the remedy must never be cut, because half a command would drop fields of the entry.
func TestLongCommand(t *testing.T) {
	names := `"` + strings.Repeat(`a.example.org","`, 60) + `last.example.org"`
	v := Judge(read(t, denied("client-workload"), replaced("client", entryWith("client", "/client", "/elsewhere", `,"dns_names":[`+names+`]`, user))), false)
	if words := split(t, printed(t, v.Text())); words[len(words)-1] != "last.example.org" {
		t.Errorf("cut: %s", v.Text())
	}
}

func TestQuoted(t *testing.T) {
	for _, word := range []string{"", "a", "a b", "it's", `"$HOME"`, "`id`", "a;b", "a\\b", "*", "#a", "=a", "!!", "äöü", "-a", "''", "~", "(a)"} {
		out, err := exec.Command("sh", "-c", "printf %s. "+quoted(word)).Output()
		if err != nil || string(out) != word+"." {
			t.Errorf("%q is quoted as %s, which a shell takes for %q (%v)", word, quoted(word), out, err)
		}
	}
	for word, want := range map[string]string{"spiffe://example.org/a-b_c": "spiffe://example.org/a-b_c", "unix:uid:1": "unix:uid:1", "a b": "'a b'"} {
		if is := quoted(word); is != want {
			t.Errorf("%q is quoted as %s, want %s", word, is, want)
		}
	}
}

// TestHosts: an agent gets the entries whose parent is its own SPIFFE ID or one of its aliases, and the descendants of
// these entries.
func TestHosts(t *testing.T) {
	alias := func(id, path string, selectors ...string) edit {
		return extra(entryWith(id, path, "/spire/server", "", selectors...))
	}
	const here = "spiffe_id=" + lab.AgentID
	for _, test := range []struct {
		name  string
		edits []edit
		want  string // the paths of the parents that the lab does not have by default
	}{
		{"the lab", nil, ""},
		{"below the agent itself", []edit{extra(entryFor("a", "/a", "/spire/agent/x509pop/host", "uid:1", ""))}, "/a"},
		{"below a workload", []edit{extra(entryFor("a", "/client/a", "/client", "uid:1", ""))}, "/client/a"},
		{"below what is below", []edit{extra(entryFor("a", "/a", "/b", "uid:1", "")), extra(entryFor("b", "/b", "/server", "uid:1", ""))}, "/a /b"},
		{"a circle", []edit{extra(entryFor("a", "/a", "/b", "uid:1", "")), extra(entryFor("b", "/b", "/a", "uid:1", "")), extra(entryFor("c", "/a", "/client", "uid:1", ""))}, "/a /b"},
		{"of another host", []edit{extra(entryFor("a", "/a", "/host-b", "uid:1", ""))}, ""},
		{"a second alias", []edit{alias("x", "/x", fingerprint)}, "/x"},
		{"an alias with one selector too many", []edit{alias("x", "/x", here, "x509pop=serialnumber:1")}, ""},
		{"below a second alias", []edit{alias("x", "/x", here, fingerprint), extra(entryFor("a", "/a", "/x", "uid:1", ""))}, "/a /x"},
		{"an alias that names an alias is none", []edit{alias("x", "/x", "spiffe_id="+lab.HostID)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &view{read(t, test.edits...)}
			var paths []string
			for _, id := range l.hosts() {
				if path := parsed(id).Path; !slices.Contains([]string{"/spire/agent/x509pop/host", "/host", "/client", "/server"}, path) {
					paths = append(paths, path)
				}
			}
			slices.Sort(paths)
			if is := strings.Join(paths, " "); is != test.want {
				t.Errorf("got %q, want %q", is, test.want)
			}
		})
	}
}

// printed returns the command at the end of the remedy.
func printed(t *testing.T, text string) string {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "  do: ") {
			if i := strings.LastIndex(line, "docker compose exec "); i >= 0 {
				return line[i:]
			}
		}
	}
	t.Fatalf("no command in\n%s", text)
	return ""
}

// split returns the words that a shell makes of a command, without `docker compose exec spire-server ... entry`.
func split(t *testing.T, command string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `docker() { printf '%s\n' "$@"; }; `+command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	words := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if want := []string{"compose", "exec", "spire-server", "/opt/spire/bin/spire-server", "entry"}; len(words) < 6 || !slices.Equal(words[:5], want) {
		t.Fatalf("this is no command on entries: %q", words)
	}
	return words[5:]
}

// strs collects a flag that may be given several times.
type strs []string

func (s *strs) String() string         { return strings.Join(*s, " ") }
func (s *strs) Set(value string) error { *s = append(*s, value); return nil }

// apply does what SPIRE 1.15 does with a command on entries (cmd/spire-server/cli/entry, and updateRegistrationEntry in
// pkg/server/datastore/sqlstore). An update sets every field, so it clears the fields that the command does not name.
func apply(t *testing.T, entries []facts.Entry, words []string) []facts.Entry {
	t.Helper()
	var e facts.Entry
	var parent, id string
	var selectors, federatesWith, dns strs
	flags := flag.NewFlagSet(words[0], flag.ContinueOnError)
	flags.StringVar(&e.ID, "entryID", "", "")
	if words[0] != "delete" {
		flags.StringVar(&parent, "parentID", "", "")
		flags.StringVar(&id, "spiffeID", "", "")
		flags.Var(&selectors, "selector", "")
		flags.Var(&federatesWith, "federatesWith", "")
		flags.Var(&dns, "dns", "")
		flags.IntVar(&e.TTL, "x509SVIDTTL", 0, "")
		flags.IntVar(&e.JWTTTL, "jwtSVIDTTL", 0, "")
		flags.StringVar(&e.Hint, "hint", "", "")
		flags.Int64Var(&e.ExpiresAt, "entryExpiry", 0, "")
		flags.BoolVar(&e.StoreSVID, "storeSVID", false, "")
		flags.BoolVar(&e.Admin, "admin", false, "")
		flags.BoolVar(&e.Downstream, "downstream", false, "")
		flags.BoolVar(&e.Attributes.DisableX509SVIDPrefetch, "disableX509SVIDPrefetch", false, "")
		flags.BoolVar(&e.Attributes.JWTSVIDIncludeJTI, "jwtSVIDIncludeJTI", false, "")
	}
	if err := flags.Parse(words[1:]); err != nil || flags.NArg() > 0 {
		t.Fatalf("%q: %v, arguments %q", words, err, flags.Args())
	}
	at := slices.IndexFunc(entries, func(is facts.Entry) bool { return is.ID == e.ID })
	if words[0] == "delete" {
		if at < 0 {
			t.Fatalf("there is no entry %s", e.ID)
		}
		return slices.Delete(slices.Clone(entries), at, at+1)
	}
	e.ParentID, e.SPIFFEID = parsed(parent), parsed(id)
	for _, s := range selectors {
		kind, value, ok := strings.Cut(s, ":")
		if !ok {
			t.Fatalf("%q is no selector", s)
		}
		e.Selectors = append(e.Selectors, facts.Selector{Type: kind, Value: value})
	}
	for _, other := range federatesWith {
		e.FederatesWith = append(e.FederatesWith, strings.TrimPrefix(other, "spiffe://"))
	}
	e.DNSNames = dns
	if len(e.Selectors) == 0 || parent == "" || id == "" {
		t.Fatalf("SPIRE refuses it: %q", words)
	}
	switch {
	case words[0] == "create" && at >= 0, words[0] == "update" && at < 0:
		t.Fatalf("SPIRE refuses it, by its entry ID: %q", words)
	case words[0] == "create":
		return append(slices.Clone(entries), e)
	}
	all := slices.Clone(entries)
	all[at] = e
	return all
}

// source returns a map. Its keys are the codes of the causes. Its values are the source texts of the functions that look for these causes.
func source(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	texts := map[string]string{}
	for _, c := range All {
		if c.look == nil {
			continue
		}
		full := runtime.FuncForPC(reflect.ValueOf(c.look).Pointer()).Name()
		_, text, ok := strings.Cut(all, "\nfunc (l *view) "+full[strings.LastIndex(full, ".")+1:]+"() *evidence {")
		if !ok {
			t.Fatalf("%s is looked for by %s, which is not a function of its own", c.Code, full)
		}
		texts[c.Code], _, _ = strings.Cut(text, "\n}\n")
	}
	return texts
}
