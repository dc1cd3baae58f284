// Package observation describes the output of the command "host observer", which is what one user of the host sees. The
// doctor, the grader and the console read this output. It contains no secret.
package observation

import "time"

// Observation is one JSON object, on one line.
type Observation struct {
	User    string    `json:"user"` // the user's name in this container's /etc/passwd
	UID     int       `json:"uid"`
	GID     int       `json:"gid"`
	Time    time.Time `json:"time"`    // by the engine's clock
	Program string    `json:"program"` // the observed program: client or server

	Endpoint Endpoint      `json:"endpoint"`
	SVIDs    []Certificate `json:"svids"` // in the order of the Workload API
	Bundles  []Bundle      `json:"bundles"`

	// Programs are the SHA-256 hashes of the server and the client in this container, by path.
	Programs map[string]string `json:"programs"`

	URL         string    `json:"url,omitempty"` // the client's URL
	Addresses   []string  `json:"addresses"`     // the addresses of its host name
	LookupError string    `json:"lookupError,omitempty"`
	Requests    []Request `json:"requests"`
	Health      *Health   `json:"health,omitempty"` // the health that the observed program reports

	Processes []Process `json:"processes,omitempty"` // the lab's programs that keep running, in this PID namespace
	Listening []string  `json:"listening,omitempty"` // the TCP addresses on which programs listen, in this network namespace
}

// Process is a running process.
type Process struct {
	PID       int      `json:"pid"`
	Container string   `json:"container,omitempty"` // the container's ID; empty for the observer's own
	Command   []string `json:"command"`
}

// Endpoint is the Workload API and how it answered.
type Endpoint struct {
	Address  string `json:"address"`
	From     string `json:"from"` // the flag or variable that names it
	Error    string `json:"error,omitempty"`
	Code     string `json:"code,omitempty"` // the gRPC code; PermissionDenied: no identity issued
	NoSocket bool   `json:"noSocket,omitempty"`
}

// Certificate describes a certificate without its private key. If a CA certificate has signed a certificate, the Key of
// the CA certificate equals the SignedBy of the signed certificate.
type Certificate struct {
	ID        string    `json:"id,omitempty"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	Key       string    `json:"key"`      // the subject key ID, hexadecimal
	SignedBy  string    `json:"signedBy"` // the authority key ID
}

// Bundle is the trust bundle of one trust domain.
type Bundle struct {
	TrustDomain string        `json:"trustDomain"`
	Authorities []Certificate `json:"authorities"`
}

// Request is one GET to the server, over a new connection.
type Request struct {
	URL      string       `json:"url"`
	WithSVID bool         `json:"withSVID"` // if false, without a client certificate
	Address  string       `json:"address,omitempty"`
	Peer     *Certificate `json:"peer,omitempty"`
	Refused  string       `json:"refused,omitempty"` // why the observer refused the server
	Error    string       `json:"error,omitempty"`
	Status   int          `json:"status,omitempty"`
	Body     string       `json:"body,omitempty"`
	Tickets  int          `json:"tickets,omitempty"` // number of session tickets from the server
}

// Health is the answer of a program's /healthz.
type Health struct {
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
	Error  string `json:"error,omitempty"`
}
