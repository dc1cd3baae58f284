package grade

import (
	"fmt"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// Difference is one thing that is not as it was, or not as it must be. Two are the same only if all of it is.
type Difference struct {
	Kind        Kind
	Subject     string // what it is about: a service, a SPIFFE ID, a user, a name
	Before, Now string
}

// Kind says what has become different.
type Kind int

// The kinds of differences.
const (
	NotAsBefore Kind = iota // what the fault has changed still differs

	// Who is served.
	NothingRuns
	NotServed
	OnlyRunningServed
	OnlyNewServed
	OtherName
	OtherServer

	// Who must be refused.
	EverybodyServed
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

	// What the lab is made of.
	ServerServes
	ClientTakes
	Unasked
	SomebodyElse
	LacksIdentity
	EntryNew
	EntryWider
	Lifetime
	Gone
	NotRunning
	RunsAs
	SeesProcesses
	MayDoMore
	OtherFiles
	OtherNetwork
	NameTwice
	Settings
	StartedOtherwise

	// What must have survived.
	SPIREServerSilent
	CALost
	CAAdded
	EntryLost
	TrustAdded
	TrustLost
	AgentBanned
	AgentNew
)

// lost reports whether something is lost, or somebody else trusted.
func (k Kind) lost() bool { return k >= SPIREServerSilent }

// sentences are the differences in a learner's words: {subject}, {before} and {now} stand for what the difference has, {says} for what a
// program printed last.
var sentences = map[Kind]string{
	NotAsBefore: "what can be seen from here is right, and yet the lab is not as it was before",

	NothingRuns:       "the client is not served: nothing of it runs",
	NotServed:         "the client is not served{says}",
	OnlyRunningServed: "the client that runs is served still, but one that starts now is not{says}",
	OnlyNewServed:     "a client that starts now is served, but the one that runs is not{says}",
	OtherName:         "the client is served, but under another name than its own: {now}",
	OtherServer:       "the client is served, but not by the lab's server",

	EverybodyServed:     "{subject} so is everybody else of the trust domain: server-workload is served as well",
	NoIdentity:          "{subject} gets no identity{says}",
	NotRefused:          "{subject} server-workload, which must be refused as " + lab.ServerID + ", is not{says}",
	RefusalNotLogged:    "{subject} its log does not say that it refused " + lab.ServerID,
	AlsoClient:          "{before} so is everybody else: {subject} gets the client's identity",
	GetsIdentity:        "{subject} gets an identity, {now}",
	AnyServer:           "the client is served, but takes an answer from any server",
	SilentClient:        "the client is served, but does not say why it refuses a server with another SPIFFE ID{says}",
	NoCertificateServed: "the server serves whoever shows no certificate",
	Tickets:             "the client is served, but with a ticket for next time: go-spiffe does not verify a resumed connection",
	TicketsUnseen:       "what the server gives to whoever comes back cannot be seen any more",
	NameElsewhere:       "whoever asks for the server may meet somebody else",
	CannotVerify:        "{subject} cannot verify anybody of {before}",
	VerifiesMore:        "{subject} believes the SVIDs of another trust domain: {now}",

	ServerServes:     "the server serves {now}, and that is not the client",
	ClientTakes:      "the client takes {now} for its server",
	Unasked:          "{subject} cannot be asked who it is: its program does not run",
	SomebodyElse:     "{subject} is somebody else too: {now}",
	LacksIdentity:    "{subject} does not get the identity {before}",
	EntryNew:         "there is an entry for an identity that there was not: {subject}",
	EntryWider:       "more can be {subject} than before: an entry for it asks for less, or for something else",
	Lifetime:         "SVIDs of {subject} do not live as long as before",
	Gone:             "{subject} is not there",
	NotRunning:       "{subject} does not run",
	RunsAs:           "{subject} runs as {now}, not as {before}",
	SeesProcesses:    "{subject} sees other processes than before",
	MayDoMore:        "{subject} may do more on its machine than before",
	OtherFiles:       "{service} has other files than before at {path}",
	OtherNetwork:     "{subject} is on another network than before",
	NameTwice:        "the name {subject} leads to more than one place",
	StartedOtherwise: "{subject} is started in another way than before",

	SPIREServerSilent: "the SPIRE server does not answer",
	CALost:            "what the SPIRE server knew is lost: its CA is another one than before",
	CAAdded:           "another CA is trusted than before",
	EntryLost:         "an entry is lost that somebody needs: {subject}",
	TrustAdded:        "another trust domain is trusted than before: {subject}",
	TrustLost:         "a trust domain is no longer trusted: {subject}",
	AgentBanned:       "the host is not admitted: its agent is banned",
	AgentNew:          "there is an agent that there was not: {subject}",
}

// files are the sentences of Settings.
var files = map[string]string{
	"server.conf": "the SPIRE server's configuration is not what it was",
	"agent.conf":  "the agent's configuration is not what it was",
	"passwd":      "the host's users are not those that it had",
}

// String is the sentence for the learner.
func (d Difference) String() string {
	sentence, ok := sentences[d.Kind]
	switch {
	case d.Kind == Settings:
		sentence, ok = files[d.Subject], true
	case d.Kind == SeesProcesses && d.Now == "host":
		sentence = "{subject} sees every process of the machine"
	}
	if !ok {
		return fmt.Sprintf("difference %d of %s", d.Kind, d.Subject)
	}
	says := ""
	if d.Now != "" {
		says = "; it says: " + d.Now
	}
	service, path, _ := strings.Cut(d.Subject, " ")
	return strings.NewReplacer("{subject}", d.Subject, "{before}", d.Before, "{now}", d.Now, "{says}", says, "{service}", service, "{path}", path).Replace(sentence)
}
