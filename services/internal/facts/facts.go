// Package facts reads the report that scripts/report.sh writes: what there was to know of one lab at
// one time. It judges nothing.
//
// A report is text. Each section begins with its name, the command that was asked and how that ended:
//
//	## section: entries
//	$ docker exec spiffe-lab-spire-server-1 /opt/spire/bin/spire-server entry show -output json
//	status: 0
//	  what it printed, each line indented by two spaces
//	! what it printed on its error output
//
// The status is an exit status, or why there is none: "no answer within 2.4 s", "not asked: client is
// exited". No section is ever missing from a whole report, which ends with the line "## end"; what a report
// lacks, and the last section of one that was cut off, counts as not answered.
package facts

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/cli"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Version is the one version of the format that this package reads.
const Version = "1"

// longest is the longest report in bytes that is read.
const longest = 16 << 20

// Facts are what a report says. What it does not say is empty; [Facts.Section] tells why.
type Facts struct {
	Host         Host
	Containers   []Container
	Entries      []Entry
	Agents       []Agent
	Images       map[string]string // the IDs of the images on that machine, by name and tag
	Clock        time.Time         // the engine's
	Bundle       []Root            // the SPIRE server's own trust bundle
	HostBundle   []Root            // the file from which the agent takes its trust bundle when it starts
	Credential   []string          // the files of the host's credential, by name
	Federated    []string          // the trust domains whose bundles the SPIRE server has
	Users        []User            // of the host, as the agent knows them
	Observations map[string]*observation.Observation

	sections map[string]*Section
}

// Section is one question and its answer.
type Section struct {
	Status string   // an exit status, or why there is none
	Lines  []string // what was printed
	Errors []string // what was printed on the error output
}

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
	Time     time.Time // by its own clock
	Project  string
	LabTag   string
	Patience time.Duration // how long an answer might take
	Calm     bool          // the engine answered at once: what did not within Patience hangs
	Cut      string        // what is known of a scenario that was cut off here; empty if none was
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

// Read reads a report. Its error means that this is no report at all.
func Read(in io.Reader) (*Facts, error) {
	f := &Facts{sections: map[string]*Section{}, Observations: map[string]*observation.Observation{}, Images: map[string]string{}}
	scanner := bufio.NewScanner(io.LimitReader(in, longest))
	scanner.Buffer(nil, 1<<20)
	var current *Section
	whole := false
	for scanner.Scan() {
		line := strings.TrimSuffix(scanner.Text(), "\r")
		switch {
		case line == "## end":
			current, whole = nil, true
		case strings.HasPrefix(line, "## section: "):
			current = &Section{}
			f.sections[strings.TrimPrefix(line, "## section: ")] = current
		case current == nil:
		case strings.HasPrefix(line, "status: "):
			current.Status = strings.TrimPrefix(line, "status: ")
		case strings.HasPrefix(line, "  "):
			current.Lines = append(current.Lines, line[2:])
		case strings.HasPrefix(line, "! "):
			current.Errors = append(current.Errors, line[2:])
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("the report cannot be read: %w", err)
	}
	if !whole && current != nil {
		current.Status = "cut off"
	}
	host := f.words("host")
	switch {
	case f.sections["host"] == nil || host["report"] == "":
		return nil, errors.New("this is no report of the lab: want what make report writes")
	case host["report"] != Version:
		return nil, fmt.Errorf("the report is of version %q: want %s, as make report of this lab writes it", host["report"], Version)
	}
	f.readHost(host)
	f.readEngine()
	f.readSPIRE()
	f.readFiles()
	for name := range f.sections {
		if user, ok := strings.CutPrefix(name, "observer-"); ok {
			var t observation.Observation
			if f.json(name, &t) {
				f.Observations[user] = &t
			}
		}
	}
	return f, nil
}

// Section is never nil: one that the report lacks has the status "not in the report".
func (f *Facts) Section(name string) *Section {
	if s := f.sections[name]; s != nil {
		return s
	}
	return &Section{Status: "not in the report"}
}

// Late names the questions that got no answer in time.
func (f *Facts) Late() []string {
	var names []string
	for name, s := range f.sections {
		if s.Late() {
			names = append(names, name)
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

// words are the lines of a section as a key and the rest.
func (f *Facts) words(section string) map[string]string {
	words := map[string]string{}
	for _, line := range f.Section(section).Lines {
		key, value, _ := strings.Cut(line, " ")
		words[key] = value
	}
	return words
}

// json decodes the first line of a section. What cannot be decoded is not answered.
func (f *Facts) json(section string, value any) bool {
	s := f.Section(section)
	if !s.OK() || len(s.Lines) == 0 {
		return false
	}
	if err := json.Unmarshal([]byte(s.Lines[0]), value); err != nil {
		s.Status = "not readable: " + err.Error()
		return false
	}
	return true
}

func (f *Facts) readHost(host map[string]string) {
	f.Host = Host{
		Project: host["project"], LabTag: host["lab-tag"], Cut: host["cut-off"],
	}
	f.Host.Time, _ = time.Parse(time.RFC3339, host["time"])
	f.Host.Calm = host["machine"] == "calm"
	if seconds, err := strconv.ParseFloat(host["patience"], 64); err == nil {
		f.Host.Patience = time.Duration(seconds * float64(time.Second))
	}
}

func (f *Facts) readEngine() {
	if clock := f.Section("clock"); clock.OK() && len(clock.Lines) > 0 {
		stamp, _, _ := strings.Cut(clock.Lines[0], " ")
		f.Clock, _ = time.Parse(time.RFC3339Nano, stamp)
	}
	for _, line := range f.Section("images").Lines {
		if fields := strings.Fields(line); len(fields) > 1 {
			f.Images[fields[0]] = fields[1]
		}
	}
	containers := f.Section("containers")
	for _, line := range containers.Lines {
		var c Container
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			containers.Status = "not readable: " + err.Error()
			continue
		}
		c.Name = strings.TrimPrefix(c.Name, "/")
		f.Containers = append(f.Containers, c)
	}
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
		// As tar lists it: the path comes last.
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasSuffix(line, "/") {
			continue
		}
		path := fields[len(fields)-1]
		f.Credential = append(f.Credential, path[strings.LastIndex(path, "/")+1:])
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
		m := refused.FindStringSubmatch(line.Text)
		if m == nil {
			continue
		}
		selectors = strings.Split(m[1], ",")
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

var refused = regexp.MustCompile(`No identity issued.* selectors="?([^"]*)"?`)
