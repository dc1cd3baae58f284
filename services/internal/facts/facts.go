// Package facts has everything that is known about one lab at one time: each question that package report asks, its answer, and the types
// of the answers. It does not judge the answers.
package facts

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-logfmt/logfmt"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Facts are the content of a report. A fact that the report lacks is empty, and [Facts.Section] says why.
type Facts struct {
	Host         Host
	Preflight    []Problem // the problems that would stop a start
	Start        *Problem  // why the last start failed; nil if it did not
	Engine       EngineVersion
	Containers   []Container
	Entries      []Entry
	Agents       []Agent
	Images       map[string]string // the image IDs in the engine, by name and tag
	Clock        time.Time         // the engine's clock
	Bundle       []Root            // the SPIRE server's own trust bundle
	HostBundle   []Root            // the file from which the agent takes its trust bundle when it starts
	Credential   []string          // the files of the host's credential, by name
	Federated    []string          // the other trust domains whose bundles the SPIRE server has
	Foreign      map[string][]Root // these bundles, by trust domain
	Authorities  Authorities       // the authorities of the SPIRE server's own CA
	Users        []User            // the host's users, as the agent knows them
	Observations map[string]*observation.Observation

	sections []*Section
}

// Problem is a reason why a lab does not start, as the commands of the lab print it.
type Problem struct {
	Code   string `json:"code,omitempty"` // the code of a known cause
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

// Section is one question and its answer, which is either JSON or lines of text.
type Section struct {
	Question string          `json:"question"`
	Command  string          `json:"command,omitempty"`
	Status   string          `json:"status"` // an exit status, or why there is no exit status
	JSON     json.RawMessage `json:"json,omitempty"`
	Lines    []string        `json:"lines,omitempty"`
	Errors   []string        `json:"errors,omitempty"` // the standard error
}

// CannotTell begins the status of a question that was not answered because the docker command itself failed, for instance by a crash or a
// limit of processes. The output of that command is not an answer.
const CannotTell = "cannot tell: "

// Answered reports whether there was an answer, with or without success.
func (s *Section) Answered() bool {
	_, err := strconv.Atoi(s.Status)
	return err == nil
}

// OK reports whether the question was answered with success.
func (s *Section) OK() bool { return s.Status == "0" }

// Late reports whether the answer did not come in time.
func (s *Section) Late() bool { return strings.HasPrefix(s.Status, "no answer") }

// Text returns the output.
func (s *Section) Text() string { return strings.Join(s.Lines, "\n") }

// Last returns the last line of the error output, or else of the output.
func (s *Section) Last() string {
	for _, lines := range [][]string{s.Errors, s.Lines} {
		for _, line := range slices.Backward(lines) {
			if strings.TrimSpace(line) != "" {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

// Host is the learner's machine.
type Host struct {
	Time     time.Time     `json:"time"` // the time of this machine's clock
	Project  string        `json:"project"`
	LabTag   string        `json:"labTag"`
	Patience time.Duration `json:"patience"`           // how long the answers might take, in nanoseconds
	Calm     bool          `json:"calm"`               // the engine answered at once, so a question without an answer after Patience hangs
	Cut      string        `json:"cut,omitempty"`      // a description of a scenario that was interrupted; empty if there is none
	Override string        `json:"override,omitempty"` // the file that Compose reads in addition to compose.yaml; empty if there is none

	// These fields are only for people.
	System       string   `json:"system"`
	SPIREVersion string   `json:"spireVersion"`
	Variables    []string `json:"variables,omitempty"` // the names of the variables that steer docker, Compose and the lab
}

// EngineVersion is the answer of docker version.
type EngineVersion struct {
	Client string `json:"client"`
	Server string `json:"server"`
	API    string `json:"api"`
	OS     string `json:"os"` // the system of the containers: linux or windows
	Arch   string `json:"arch"`
}

// EngineInfo is the answer of docker info.
type EngineInfo struct {
	Time       time.Time `json:"time"` // by the engine's clock
	Processors int       `json:"processors"`
	Memory     int64     `json:"memory"` // in bytes
	System     string    `json:"system"`
	Driver     string    `json:"driver"`
	Cgroup     string    `json:"cgroup"`
}

// Container is the engine's description of a container.
type Container struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	Service     string             `json:"service"`
	Project     string             `json:"project"`
	OneOff      string             `json:"oneoff"`
	Image       string             `json:"image"`
	ImageID     string             `json:"imageID"`
	Command     []string           `json:"command"`
	User        string             `json:"user"`
	Status      string             `json:"status"` // created, running, paused, restarting, exited, dead
	ExitStatus  int                `json:"exitStatus"`
	OutOfMemory bool               `json:"outOfMemory"`
	Error       string             `json:"error"`
	StartedAt   time.Time          `json:"startedAt"`
	FinishedAt  time.Time          `json:"finishedAt"`
	Restarts    int                `json:"restarts"`
	Health      string             `json:"health"`
	StopTimeout int                `json:"stopTimeout,omitempty"` // how long docker stop waits, in seconds; 0 is the engine's default
	PIDMode     string             `json:"pidMode"`
	CapAdd      []string           `json:"capAdd"`
	CapDrop     []string           `json:"capDrop"`
	ReadOnly    bool               `json:"readOnly"`
	Privileged  bool               `json:"privileged"`
	Environment []string           `json:"environment"` // names only
	Settings    map[string]string  `json:"settings"`    // the variables without secrets
	Mounts      []Mount            `json:"mounts"`
	Networks    map[string]Network `json:"networks"`
}

// Mount is a mount of a container at a path.
type Mount struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Source   string `json:"source"`
	At       string `json:"at"`
	Writable bool   `json:"writable"`
}

// Network is a container's connection to a network.
type Network struct {
	Address string   `json:"address"`
	Aliases []string `json:"aliases"`
}

// Flag returns the value of a flag in the container's command, as package flag reads it: the last value counts.
func (c *Container) Flag(name string) string {
	return cli.FlagValue(c.Command, name)
}

// Mount returns the mount at exactly this path, or nil.
func (c *Container) Mount(at string) *Mount {
	for i := range c.Mounts {
		if c.Mounts[i].At == at {
			return &c.Mounts[i]
		}
	}
	return nil
}

// ID is a SPIFFE ID in the form of SPIRE's API.
type ID struct {
	TrustDomain string `json:"trust_domain"`
	Path        string `json:"path"`
}

// String returns the SPIFFE ID as a URI.
func (id ID) String() string { return "spiffe://" + id.TrustDomain + id.Path }

// Selector is a selector of a registration entry.
type Selector struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// String returns the selector in the form of SPIRE's CLI.
func (s Selector) String() string { return s.Type + ":" + s.Value }

// Entry is a registration entry, with every field that a caller of SPIRE's API can set.
type Entry struct {
	ID            string     `json:"id"`
	SPIFFEID      ID         `json:"spiffe_id"`
	ParentID      ID         `json:"parent_id"`
	Selectors     []Selector `json:"selectors"`
	TTL           int        `json:"x509_svid_ttl"` // in seconds; 0 is the SPIRE server's default
	JWTTTL        int        `json:"jwt_svid_ttl"`  // in seconds; 0 is the SPIRE server's default
	FederatesWith []string   `json:"federates_with"`
	DNSNames      []string   `json:"dns_names"`
	Hint          string     `json:"hint"`
	ExpiresAt     int64      `json:"expires_at,string"` // in seconds since 1970; 0 is never
	StoreSVID     bool       `json:"store_svid"`
	Admin         bool       `json:"admin"`
	Downstream    bool       `json:"downstream"`
	Attributes    Attributes `json:"additional_attributes"`
}

// Attributes are the additional attributes of an entry.
type Attributes struct {
	DisableX509SVIDPrefetch bool `json:"disable_x509_svid_prefetch"`
	JWTSVIDIncludeJTI       bool `json:"jwt_svid_include_jti"`
}

// Agent is an agent that has attested.
type Agent struct {
	ID        ID         `json:"id"`
	Selectors []Selector `json:"selectors"`
	Banned    bool       `json:"banned"`
	ExpiresAt int64      `json:"x509svid_expires_at,string"` // in seconds since 1970
}

// Authorities are the X.509 authorities of the SPIRE server's CA. A missing authority is nil.
type Authorities struct {
	Active   *Authority `json:"active"`
	Prepared *Authority `json:"prepared"`
	Old      *Authority `json:"old"`
}

// Authority is an X.509 authority.
type Authority struct {
	ID        string `json:"authority_id"`
	ExpiresAt int64  `json:"expires_at,string"` // in seconds since 1970
}

// Root is a CA certificate of a trust bundle.
type Root struct {
	Key       string // the subject key ID, hexadecimal
	NotBefore time.Time
	NotAfter  time.Time
}

// User is a user of the host.
type User struct {
	Name     string
	UID, GID string
}

// Line is a line of a log.
type Line struct {
	Time time.Time
	Text string
}

// New reads the answers. An answer that cannot be read counts as not answered.
func New(host Host, preflight []Problem, start *Problem, sections []*Section) *Facts {
	f := &Facts{Host: host, Preflight: preflight, Start: start, sections: sections, Observations: map[string]*observation.Observation{}, Images: map[string]string{}, Foreign: map[string][]Root{}}
	f.readEngine()
	f.readSPIRE()
	f.readFiles()
	for _, s := range f.sections {
		if user, ok := strings.CutPrefix(s.Question, "observer-"); ok {
			var t observation.Observation
			if f.json(s.Question, &t) {
				f.Observations[user] = &t
			}
		}
	}
	return f
}

// Sections returns all questions, in the order in which they were asked.
func (f *Facts) Sections() []*Section { return f.sections }

// Add adds the answer to a question, and replaces an earlier answer.
func (f *Facts) Add(s *Section) {
	if i := slices.IndexFunc(f.sections, func(other *Section) bool { return other.Question == s.Question }); i >= 0 {
		f.sections[i] = s
		return
	}
	f.sections = append(f.sections, s)
}

// Section returns the answer to a question, never nil. If the report lacks it, its status is "not in the report".
func (f *Facts) Section(name string) *Section {
	for _, s := range f.sections {
		if s.Question == name {
			return s
		}
	}
	return &Section{Question: name, Status: "not in the report"}
}

// Late returns the names of the questions that got no answer in time.
func (f *Facts) Late() []string {
	var names []string
	for _, s := range f.sections {
		if s.Late() {
			names = append(names, s.Question)
		}
	}
	slices.Sort(names)
	return names
}

// Service returns the container of a service of the lab, or nil.
func (f *Facts) Service(name string) *Container {
	for i := range f.Containers {
		c := &f.Containers[i]
		if c.Service == name && c.Project == f.Host.Project && c.OneOff == "False" {
			return c
		}
	}
	return nil
}

// Log returns the last lines that a service has logged, with the engine's time.
func (f *Facts) Log(service string) []Line {
	var lines []Line
	for _, line := range f.Section("log-" + service).Lines {
		stamp, text, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			text = line
		}
		lines = append(lines, Line{at, text})
	}
	return lines
}

// json decodes the answer to a question. If that fails, the question counts as not answered.
func (f *Facts) json(question string, value any) bool {
	s := f.Section(question)
	if !s.OK() {
		return false
	}
	err := errors.New("it is empty")
	if len(s.JSON) > 0 {
		err = json.Unmarshal(s.JSON, value)
	}
	if err != nil {
		s.Status = "not readable: " + err.Error()
		return false
	}
	return true
}

func (f *Facts) readEngine() {
	f.json("engine", &f.Engine)
	var info EngineInfo
	f.json("clock", &info)
	f.Clock = info.Time
	for _, line := range f.Section("images").Lines {
		if fields := strings.Fields(line); len(fields) > 1 {
			f.Images[fields[0]] = fields[1]
		}
	}
	f.json("containers", &f.Containers)
}

func (f *Facts) readSPIRE() {
	var entries struct {
		Entries []Entry `json:"entries"`
	}
	f.json("entries", &entries)
	f.Entries = entries.Entries
	var agents struct {
		Agents []Agent `json:"agents"`
	}
	f.json("agents", &agents)
	f.Agents = agents.Agents
	type bundle struct {
		TrustDomain string `json:"trust_domain"`
		Authorities []struct {
			ASN1    []byte `json:"asn1"`
			Tainted bool   `json:"tainted"`
		} `json:"x509_authorities"`
	}
	roots := func(b bundle) (all []Root) {
		for _, a := range b.Authorities {
			if c, err := x509.ParseCertificate(a.ASN1); err == nil {
				all = append(all, root(c))
			}
		}
		return all
	}
	var own bundle
	f.json("bundle", &own)
	f.Bundle = roots(own)
	var federated struct {
		Bundles []bundle `json:"bundles"`
	}
	f.json("bundles", &federated)
	for _, b := range federated.Bundles {
		f.Federated = append(f.Federated, b.TrustDomain)
		f.Foreign[b.TrustDomain] = roots(b)
	}
	f.json("authorities", &f.Authorities)
}

func (f *Facts) readFiles() {
	rest := []byte(f.Section("file-bundle.pem").Text())
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			f.HostBundle = append(f.HostBundle, root(c))
		}
	}
	for _, line := range f.Section("credential").Lines {
		if name, _, _ := strings.Cut(line, " "); name != "" {
			f.Credential = append(f.Credential, name)
		}
	}
	for _, line := range f.Section("file-passwd").Lines {
		if fields := strings.Split(line, ":"); len(fields) >= 4 {
			f.Users = append(f.Users, User{Name: fields[0], UID: fields[2], GID: fields[3]})
		}
	}
}

func root(c *x509.Certificate) Root {
	return Root{Key: fmt.Sprintf("%x", c.SubjectKeyId), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC()}
}

// Setting returns the first value of a setting in a file of SPIRE's configuration, or nothing. server.conf is the SPIRE server's file, and
// agent.conf is the file of the host's agent.
func (f *Facts) Setting(file, name string) string {
	line := regexp.MustCompile(`^\s*` + regexp.QuoteMeta(name) + `\s*=\s*"?([^"#]*)"?`)
	for _, text := range f.Section("file-" + file).Lines {
		if m := line.FindStringSubmatch(text); m != nil {
			return strings.TrimSpace(m[1])
		}
	}
	return ""
}

// X509SVIDTTL returns the TTL of an entry's X.509-SVIDs: the entry's TTL, or else the SPIRE server's default.
func (f *Facts) X509SVIDTTL(e Entry) time.Duration {
	return f.ttl(e.TTL, "default_x509_svid_ttl", time.Hour)
}

// JWTSVIDTTL returns the TTL of an entry's JWT-SVIDs: the entry's TTL, or else the SPIRE server's default.
func (f *Facts) JWTSVIDTTL(e Entry) time.Duration {
	return f.ttl(e.JWTTTL, "default_jwt_svid_ttl", 5*time.Minute)
}

// ttl returns an entry's TTL in seconds, or else the setting of server.conf, or else SPIRE's default (pkg/server/credtemplate).
func (f *Facts) ttl(seconds int, setting string, own time.Duration) time.Duration {
	if seconds != 0 {
		return time.Duration(seconds) * time.Second
	}
	if set, err := time.ParseDuration(f.Setting("server.conf", setting)); err == nil && set > 0 {
		return set
	}
	return own
}

// Program returns the path of the program that a container runs. A name without a path is a program of the image workload.
func (c *Container) Program() string {
	if len(c.Command) == 0 {
		return ""
	}
	if strings.HasPrefix(c.Command[0], "/") {
		return c.Command[0]
	}
	return "/opt/spiffe-lab/bin/" + c.Command[0]
}

// UserOf returns the host's user that a container runs as. If the agent does not know this user, the result has only the name or number in
// the container's settings.
func (f *Facts) UserOf(c *Container) User {
	name, group, _ := strings.Cut(c.User, ":")
	if name == "" {
		name = "0"
	}
	u := User{Name: name, GID: group}
	if _, err := strconv.Atoi(name); err == nil {
		u = User{UID: name, GID: group}
	}
	for _, known := range f.Users {
		if known.Name == name || known.UID == name {
			u = known
		}
	}
	if group != "" {
		u.GID = group
	}
	return u
}

// Selectors returns the selectors of the process in a container. The result seen is true if the agent has logged these selectors in the
// last minute, when it refused an identity to the process. Otherwise Selectors derives the selectors from the container.
func (f *Facts) Selectors(c *Container) (selectors []string, seen bool) {
	now := f.Clock
	for _, line := range slices.Backward(f.Log("spire-agent")) {
		if now.Sub(line.Time) > time.Minute || line.Time.Before(c.StartedAt) {
			break
		}
		fields := Fields(line.Text)
		if fields["msg"] != "No identity issued" || fields["selectors"] == "" {
			continue
		}
		selectors = strings.Split(fields["selectors"], ",")
		for i := range selectors {
			selectors[i] = strings.TrimSpace(selectors[i])
		}
		// The log line may be about a process with the same program, but with a different user.
		user := f.UserOf(c)
		if slices.Contains(selectors, "unix:path:"+c.Program()) && (user.UID == "" || slices.Contains(selectors, "unix:uid:"+user.UID)) {
			return selectors, true
		}
	}
	return f.Derived(c), false
}

// Derived returns the selectors that follow from a container's settings. An agent that sees the container's process finds these selectors.
func (f *Facts) Derived(c *Container) []string {
	user := f.UserOf(c)
	var selectors []string
	if user.UID != "" {
		selectors = append(selectors, "unix:uid:"+user.UID)
	}
	if user.Name != "" {
		selectors = append(selectors, "unix:user:"+user.Name)
	}
	if user.GID != "" {
		selectors = append(selectors, "unix:gid:"+user.GID, "unix:supplementary_gid:"+user.GID)
	}
	selectors = append(selectors, "unix:path:"+c.Program())
	for _, t := range f.Observations {
		if sum := t.Programs[c.Program()]; sum != "" {
			return append(selectors, "unix:sha256:"+sum)
		}
	}
	return selectors
}

// Fields returns the fields of a line of SPIRE's log. A line that is not logfmt has no field "msg".
func Fields(line string) map[string]string {
	fields := map[string]string{}
	decoder := logfmt.NewDecoder(strings.NewReader(line))
	for decoder.ScanRecord() {
		for decoder.ScanKeyval() {
			fields[string(decoder.Key())] = string(decoder.Value())
		}
	}
	return fields
}
