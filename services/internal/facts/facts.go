// Package facts has what there was to know of one lab at one time: each question that package report asks, its answer, and the types
// that the answers are read into. It judges nothing.
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

// Facts are what a report says. What it does not say is empty; [Facts.Section] tells why.
type Facts struct {
	Host         Host
	Preflight    []Problem // what would stop a start
	Start        *Problem  // why the last start failed; nil if it did not
	Engine       EngineVersion
	Containers   []Container
	Entries      []Entry
	Agents       []Agent
	Images       map[string]string // the IDs of the images on that machine, by name and tag
	Clock        time.Time         // the engine's
	Bundle       []Root            // the SPIRE server's own trust bundle
	HostBundle   []Root            // the file from which the agent takes its trust bundle when it starts
	Credential   []string          // the files of the host's credential, by name
	Federated    []string          // the trust domains whose bundles the SPIRE server has
	Authorities  Authorities       // of the SPIRE server's own CA
	Users        []User            // of the host, as the agent knows them
	Observations map[string]*observation.Observation

	sections []*Section
}

// Problem is what keeps a lab from starting, as the commands of the lab tell it.
type Problem struct {
	Code   string `json:"code,omitempty"` // of the cause, if it is a known one
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

// Section is one question and its answer, which is either JSON or lines of text.
type Section struct {
	Question string          `json:"question"`
	Command  string          `json:"command,omitempty"`
	Status   string          `json:"status"` // an exit status, or why there is none
	JSON     json.RawMessage `json:"json,omitempty"`
	Lines    []string        `json:"lines,omitempty"`
	Errors   []string        `json:"errors,omitempty"` // the standard error
}

// CannotTell begins the status of a question that was not answered, because the command itself failed: with a limit of
// processes, for instance, or a docker command that crashes. What it printed is not an answer.
const CannotTell = "cannot tell: "

// Answered tells whether there was an answer, be it a failure.
func (s *Section) Answered() bool {
	_, err := strconv.Atoi(s.Status)
	return err == nil
}

// OK tells whether the question was answered with success.
func (s *Section) OK() bool { return s.Status == "0" }

// Late tells whether the answer did not come in time.
func (s *Section) Late() bool { return strings.HasPrefix(s.Status, "no answer") }

// Text is what was printed.
func (s *Section) Text() string { return strings.Join(s.Lines, "\n") }

// Last is the last line of the error output, or else of the output.
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
	Time     time.Time     `json:"time"` // by its own clock
	Project  string        `json:"project"`
	LabTag   string        `json:"labTag"`
	Patience time.Duration `json:"patience"`      // how long an answer might take, in nanoseconds
	Calm     bool          `json:"calm"`          // the engine answered at once: what did not within Patience hangs
	Cut      string        `json:"cut,omitempty"` // what is known of a scenario that was cut off here; empty if none was

	// For people only.
	System       string   `json:"system"`
	SPIREVersion string   `json:"spireVersion"`
	Variables    []string `json:"variables,omitempty"` // the names of those that steer docker, Compose and the lab
}

// EngineVersion is what docker version says.
type EngineVersion struct {
	Client string `json:"client"`
	Server string `json:"server"`
	API    string `json:"api"`
	OS     string `json:"os"` // of its containers: linux or windows
	Arch   string `json:"arch"`
}

// EngineInfo is what docker info says.
type EngineInfo struct {
	Time       time.Time `json:"time"` // by the engine's clock
	Processors int       `json:"processors"`
	Memory     int64     `json:"memory"` // in bytes
	System     string    `json:"system"`
	Driver     string    `json:"driver"`
	Cgroup     string    `json:"cgroup"`
}

// Container is what the engine says of one.
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
	PIDMode     string             `json:"pidMode"`
	CapAdd      []string           `json:"capAdd"`
	CapDrop     []string           `json:"capDrop"`
	ReadOnly    bool               `json:"readOnly"`
	Privileged  bool               `json:"privileged"`
	Environment []string           `json:"environment"` // names only
	Settings    map[string]string  `json:"settings"`    // the variables that hold no secret
	Mounts      []Mount            `json:"mounts"`
	Networks    map[string]Network `json:"networks"`
}

// Mount is what a container has at a path.
type Mount struct {
	Type     string `json:"type"`
	Name     string `json:"name"`
	Source   string `json:"source"`
	At       string `json:"at"`
	Writable bool   `json:"writable"`
}

// Network is how a container is known on one.
type Network struct {
	Address string   `json:"address"`
	Aliases []string `json:"aliases"`
}

// Flag is the value of a flag in the container's command, as package flag reads it: the last one counts.
func (c *Container) Flag(name string) string {
	return cli.FlagValue(c.Command, name)
}

// Mount is what the container has at exactly this path, or nil.
func (c *Container) Mount(at string) *Mount {
	for i := range c.Mounts {
		if c.Mounts[i].At == at {
			return &c.Mounts[i]
		}
	}
	return nil
}

// ID is a SPIFFE ID as SPIRE's API has it.
type ID struct {
	TrustDomain string `json:"trust_domain"`
	Path        string `json:"path"`
}

// String is the SPIFFE ID.
func (id ID) String() string { return "spiffe://" + id.TrustDomain + id.Path }

// Selector is one of a registration entry.
type Selector struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// String is the selector as SPIRE's CLI takes it.
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

// Attributes are what SPIRE calls the additional attributes of an entry.
type Attributes struct {
	DisableX509SVIDPrefetch bool `json:"disable_x509_svid_prefetch"`
	JWTSVIDIncludeJTI       bool `json:"jwt_svid_include_jti"`
}

// Agent is one that has attested.
type Agent struct {
	ID        ID         `json:"id"`
	Selectors []Selector `json:"selectors"`
	Banned    bool       `json:"banned"`
	ExpiresAt int64      `json:"x509svid_expires_at,string"` // in seconds since 1970
}

// Authorities are the X.509 authorities of the SPIRE server's CA; one that there is not is nil.
type Authorities struct {
	Active   *Authority `json:"active"`
	Prepared *Authority `json:"prepared"`
	Old      *Authority `json:"old"`
}

// Authority is one of them.
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

// User is one of the host.
type User struct {
	Name     string
	UID, GID string
}

// Line is a line of a log.
type Line struct {
	Time time.Time
	Text string
}

// New reads the answers. One that cannot be read counts as not answered.
func New(host Host, preflight []Problem, start *Problem, sections []*Section) *Facts {
	f := &Facts{Host: host, Preflight: preflight, Start: start, sections: sections, Observations: map[string]*observation.Observation{}, Images: map[string]string{}}
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

// Sections are all questions, in the order in which they were asked.
func (f *Facts) Sections() []*Section { return f.sections }

// Add adds what somebody else has asked; it replaces an answer to the same question.
func (f *Facts) Add(s *Section) {
	if i := slices.IndexFunc(f.sections, func(other *Section) bool { return other.Question == s.Question }); i >= 0 {
		f.sections[i] = s
		return
	}
	f.sections = append(f.sections, s)
}

// Section is never nil: one that the report lacks has the status "not in the report".
func (f *Facts) Section(name string) *Section {
	for _, s := range f.sections {
		if s.Question == name {
			return s
		}
	}
	return &Section{Question: name, Status: "not in the report"}
}

// Late names the questions that got no answer in time.
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

// Service is the container of a service of the lab, or nil.
func (f *Facts) Service(name string) *Container {
	for i := range f.Containers {
		c := &f.Containers[i]
		if c.Service == name && c.Project == f.Host.Project && c.OneOff == "False" {
			return c
		}
	}
	return nil
}

// Log is what a service logged last, by the engine's time.
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

// json decodes the answer to a question. What cannot be decoded is not answered.
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
	var own bundle
	f.json("bundle", &own)
	for _, a := range own.Authorities {
		if c, err := x509.ParseCertificate(a.ASN1); err == nil {
			f.Bundle = append(f.Bundle, root(c))
		}
	}
	var federated struct {
		Bundles []bundle `json:"bundles"`
	}
	f.json("bundles", &federated)
	for _, b := range federated.Bundles {
		f.Federated = append(f.Federated, b.TrustDomain)
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

// Setting is the value of a setting in a file of SPIRE's configuration, the first in the file; empty if
// it is not set. server.conf and agent.conf are those of the SPIRE server and of the host's agent.
func (f *Facts) Setting(file, name string) string {
	line := regexp.MustCompile(`^\s*` + regexp.QuoteMeta(name) + `\s*=\s*"?([^"#]*)"?`)
	for _, text := range f.Section("file-" + file).Lines {
		if m := line.FindStringSubmatch(text); m != nil {
			return strings.TrimSpace(m[1])
		}
	}
	return ""
}

// Program is the path of the program that a container runs, in the lab's image of the programs.
func (c *Container) Program() string {
	if len(c.Command) == 0 {
		return ""
	}
	if strings.HasPrefix(c.Command[0], "/") {
		return c.Command[0]
	}
	return "/opt/spiffe-lab/bin/" + c.Command[0]
}

// UserOf is the user of the host as which a container runs. Whom the agent does not know has only the name
// or the number that the container gives.
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

// Selectors are what an agent on the host finds out about the program of a container: what it logged
// when it refused that program an identity in the last minute, or else what follows from the container. The
// second value tells whether it is the agent's own word.
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
		// Somebody may have run the same program as another user.
		user := f.UserOf(c)
		if slices.Contains(selectors, "unix:path:"+c.Program()) && (user.UID == "" || slices.Contains(selectors, "unix:uid:"+user.UID)) {
			return selectors, true
		}
	}
	return f.Derived(c), false
}

// Derived is what follows from a container about its program: the selectors of an agent that sees it.
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

// Fields are the fields of a line as SPIRE logs it. A line that is not logfmt has no field "msg".
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
