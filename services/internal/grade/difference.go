package grade

import (
	"fmt"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Difference is one difference from the lab before the fault, or from a rule. Two differences are equal only if all their fields are equal.
type Difference struct {
	Kind        Kind
	Subject     string // a service, a SPIFFE ID, a user or a name; after a space it may name a part, such as a field
	Before, Now string
}

// Kind is the kind of a [Difference].
type Kind int

// The kinds of differences.
const (
	// Who is served.
	NothingRuns Kind = iota
	NotServed
	OnlyRunningServed
	OnlyNewServed
	OtherName
	OtherServer

	// Who must be refused.
	EverybodyServed
	OnlyOthersServed
	NoIdentity
	NotRefused
	RefusalNotLogged
	AlsoClient
	GetsIdentity
	AnyServer
	SilentClient
	NoCertificateServed
	Tickets
	TicketsUnseen
	NameElsewhere
	CannotVerify
	VerifiesMore
	LifetimeSeen

	// The parts of the lab.
	ServerServes
	ClientTakes
	OtherURL
	Unasked
	SomebodyElse
	LacksIdentity
	EntryNew
	EntryWider
	EntryField
	Gone
	NotRunning
	RunsAs
	OtherProgram
	SeesProcesses
	MayDoMore
	OtherFiles
	OtherNetwork
	StopTime
	VariableGone
	VariableOther
	OtherSocket
	NameTwice
	NameGone
	NameNew
	SecondProcess
	SecondContainer
	PortOpen
	SettingNew
	SettingGone
	StartedOtherwise

	// Data of the SPIRE server that must not be lost.
	SPIREServerSilent
	CALost
	CAAdded
	EntryLost
	TrustAdded
	TrustLost
	TrustChanged
	AgentBanned
	AgentNew
)

// lost reports whether data of the SPIRE server is lost, or a new CA, trust domain or agent is trusted.
func (k Kind) lost() bool { return k >= SPIREServerSilent }

// kinds has two texts for each kind of difference: the sentence and the part. In these texts {subject}, {before} and {now} stand for the
// fields of the difference, and {first} and {rest} for the parts of the subject. {file} stands for the name of a configuration file, {says}
// for the last line that the program client printed, and {health} for the text of the client's health check.
var kinds = map[Kind]struct {
	sentence string
	// part names the place of a change that the fault itself made, but not the change. It completes the sentence of [Difference.hint]. It is
	// empty for kinds that the fault itself cannot cause.
	part string
}{
	NothingRuns:       {"the client is not served, because neither the container client nor the container server is running", ""},
	NotServed:         {"the client is not served{says}", ""},
	OnlyRunningServed: {"the running client is served, but a client that starts now is not{says}", ""},
	OnlyNewServed:     {"a client that starts now is served, but the running client is not{health}", ""},
	OtherName:         {"the client is served, but with the wrong SPIFFE ID: {now}", ""},
	OtherServer:       {"the client gets an answer, but the log of the container server does not show the request", ""},

	EverybodyServed:     {"the client is served, but the server also serves every other workload of the trust domain (the test request of server-workload was served)", ""},
	OnlyOthersServed:    {"the client is not served, but the server serves every other workload of the trust domain (the test request of server-workload was served)", ""},
	NoIdentity:          {"{subject} gets no SVID{says}", ""},
	NotRefused:          {"{subject} a request with the SVID of server-workload did not end with the refusal \"bad certificate\"{says}", ""},
	RefusalNotLogged:    {"{subject} the log of the container server does not show that the server refused a client with " + lab.ServerID, ""},
	AlsoClient:          {"{before} {subject} gets the client's SVID too", ""},
	GetsIdentity:        {"{subject} gets an SVID that it must not get: {now}", ""},
	AnyServer:           {"the client is served, but it accepts a server with any SPIFFE ID", ""},
	SilentClient:        {"the client is served, but with a wrong -server-id it does not print that it refuses " + lab.ServerID + "{says}", ""},
	NoCertificateServed: {"the server serves clients that present no certificate", ""},
	Tickets:             {"the client is served, but the server issues session tickets, so a resumed connection skips certificate verification", ""},
	TicketsUnseen:       {"the grader cannot check whether the server issues session tickets, because the server answered no test request of client-workload", ""},
	NameElsewhere:       {`{subject} resolves to {now}, which is not an address of the container "server"`, ""},
	CannotVerify:        {"{subject} can no longer verify SVIDs of {before}", ""},
	VerifiesMore:        {"{subject} can now also verify SVIDs of {now}; before the fault it could not", ""},
	LifetimeSeen:        {"the SVID of {subject} is valid for {now}; before the fault it was valid for {before}", ""},

	ServerServes:     {"the server accepts the client SPIFFE ID {now} instead of {before}", "the command of the container server"},
	ClientTakes:      {"the client accepts the server SPIFFE ID {now} instead of {before}", "the command of the container client"},
	OtherURL:         {"the client's URL is {now}; before the fault it was {before}", "the command of the container client"},
	Unasked:          {"the grader cannot check which SVIDs {subject} gets, because no command could be run as this user", "the set of SVIDs that {subject} gets"},
	SomebodyElse:     {"{subject} gets an SVID for {now}; before the fault it did not", "the set of SVIDs that {subject} gets"},
	LacksIdentity:    {"{subject} gets no SVID for {before}", "the set of SVIDs that {subject} gets"},
	EntryNew:         {"there is a registration entry for a SPIFFE ID that had none before the fault: {subject}", "at least one registration entry"},
	EntryWider:       {"an entry for {subject} lacks a selector that the entry had before the fault: it has the selectors {now}", "at least one registration entry"},
	EntryField:       {"a registration entry for {first} has a different {rest}: {now}; before the fault it was {before}", "at least one registration entry"},
	Gone:             {"the container {subject} is missing", "the container {subject}"},
	NotRunning:       {"the container {subject} is not running", "the container {subject}"},
	RunsAs:           {"the container {subject} runs as {now}, not as {before}", "the container {subject}"},
	OtherProgram:     {"the container {subject} does not run the program file from before the fault (the SHA-256 hashes differ)", "the program file of the container {subject}"},
	SeesProcesses:    {"the container {subject} is not in the PID namespace in which it was before the fault", "the container {subject}"},
	MayDoMore:        {"the container {subject} has more privileges than before the fault: {now}", "the container {subject}"},
	OtherFiles:       {"the container {first} has something different mounted at {rest}: {now}; before the fault it was {before}", "the container {first}"},
	OtherNetwork:     {"the container {subject} is connected to the network {now}; before the fault it was not", "the container {subject}"},
	StopTime:         {"the container {subject} has a different stop_grace_period: {now} s; before the fault it was {before} s", "the container {subject}"},
	VariableGone:     {"the container {first} lacks the environment variable {rest}, which it had before the fault", "the container {first}"},
	VariableOther:    {"the container {first} has a different value for the environment variable {rest}: {now}; before the fault it was {before}", "the container {first}"},
	OtherSocket:      {"{subject} looks for the Workload API at {now}; before the fault it looked at {before}", "the container {subject}"},
	NameGone:         {`the container {first} no longer has the name "{rest}" on the network`, "the container {first}"},
	NameNew:          {`the container {first} also has the name "{rest}" on the network; before the fault it did not`, "the container {first}"},
	NameTwice:        {`the name "{subject}" also resolves to the container {now}`, `the set of containers that have the name "{subject}"`},
	SecondProcess:    {"a second {first} process runs beside the process of the lab: the second process runs {rest}, with the command {now}", "the set of running processes on the host"},
	SecondContainer:  {"a container that is not part of the lab runs beside it: {subject}, with the command {now}", "the set of running containers"},
	PortOpen:         {"port {now} is open in the container {subject}; before the fault it was not", "the set of open ports in the container {subject}"},
	SettingNew:       {"{file} has a line that it did not have before the fault: {now}", "{file}"},
	SettingGone:      {"{file} lacks a line that it had before the fault: {before}", "{file}"},
	StartedOtherwise: {"the container {subject} was started with a different command: {now}", "the command of the container {subject}"},

	SPIREServerSilent: {"the SPIRE server does not answer", ""},
	CALost:            {LostData + " (its CA from before the fault is gone)", ""},
	CAAdded:           {"the trust bundle of the SPIRE server has a CA certificate that it did not have before the fault", ""},
	EntryLost:         {"a registration entry from before the fault is missing: {subject}", ""},
	TrustAdded:        {"the SPIRE server has a trust bundle of {subject}; before the fault it had none", ""},
	TrustLost:         {"the SPIRE server no longer has a trust bundle of {subject}", ""},
	TrustChanged:      {"the CA certificates in the SPIRE server's trust bundle of {subject} have changed since before the fault", ""},
	AgentBanned:       {"an agent is banned: {subject}", ""},
	AgentNew:          {"the SPIRE server has an agent that it did not have before the fault: {subject}", ""},
}

// files are the names of configuration files, as a learner reads them.
var files = map[string]string{
	"server.conf": "the SPIRE server's configuration (server.conf)",
	"agent.conf":  "the agent's configuration (agent.conf)",
	"passwd":      "the host's user database (/etc/passwd)",
}

// LostData begins the verdict about a SPIRE server without the data from before the fault. If the data is lost, most other differences are
// consequences of this loss.
const LostData = "the SPIRE server has lost its data"

// allProcesses is the sentence of [SeesProcesses] for a container that now is in the machine's PID namespace.
const allProcesses = "the container {subject} sees every process of the machine"

func hintOf(part string) string {
	return "the client is served and everyone else is refused, but " + part + " still differs from before the fault"
}

// String is the sentence for the learner.
func (d Difference) String() string {
	if d.Kind == SeesProcesses && d.Now == "host" {
		return d.filled(allProcesses)
	}
	return d.filled(kinds[d.Kind].sentence)
}

// hint names the place of the change that the fault itself made, in a lab in which nothing else is wrong. It does not name the change.
func (d Difference) hint() string {
	return d.filled(hintOf(kinds[d.Kind].part))
}

func (d Difference) filled(text string) string {
	if text == "" {
		return fmt.Sprintf("the grader has no text for this difference: %s (kind %d)", d.Subject, d.Kind)
	}
	says, health := "", ""
	if d.Now != "" {
		says = "; the last line that the program client printed: " + d.Now
		health = "; its health check reports: " + d.Now
	}
	first, rest, _ := strings.Cut(d.Subject, " ")
	return strings.NewReplacer("{subject}", d.Subject, "{before}", d.Before, "{now}", d.Now, "{says}", says, "{health}", health,
		"{first}", first, "{rest}", rest, "{file}", files[d.Subject]).Replace(text)
}
