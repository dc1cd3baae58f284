// Package observation has the type that the command host observer prints, and that the doctor, the grader and the console
// read: what one user of the host sees. It contains no secret.
package observation

import "time"

// Observation is one JSON object, on one line.
type Observation struct {
	User    string    `json:"user"` // its name in this container's /etc/passwd
	UID     int       `json:"uid"`
	GID     int       `json:"gid"`
	Time    time.Time `json:"time"`    // by the engine's clock
	Program string    `json:"program"` // in whose place the observer runs: client or server

	Endpoint Endpoint      `json:"endpoint"`
	SVIDs    []Certificate `json:"svids"` // in the order in which the Workload API gives them
	Bundles  []Bundle      `json:"bundles"`

	// Programs are the SHA-256 sums of the server and the client in this container, by path.
	Programs map[string]string `json:"programs"`

	URL         string    `json:"url,omitempty"` // a client's
	Addresses   []string  `json:"addresses"`     // to which its host name resolves
	LookupError string    `json:"lookupError,omitempty"`
	Requests    []Request `json:"requests"`
	Health      *Health   `json:"health,omitempty"` // what the program says that runs here
}

// Endpoint is the Workload API and how it answered.
type Endpoint struct {
	Address  string `json:"address"`
	From     string `json:"from"` // the flag or variable that names it
	Error    string `json:"error,omitempty"`
	Code     string `json:"code,omitempty"` // of gRPC; PermissionDenied: no identity issued
	NoSocket bool   `json:"noSocket,omitempty"`
}

// Certificate is what there is to know of one without its key. An authority's Key is the SignedBy of
// what it has signed.
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

// Request is one GET of the server, over a new connection.
type Request struct {
	URL      string       `json:"url"`
	WithSVID bool         `json:"withSVID"` // else without a client certificate
	Address  string       `json:"address,omitempty"`
	Peer     *Certificate `json:"peer,omitempty"`
	Refused  string       `json:"refused,omitempty"` // why the observer did not verify the server
	Error    string       `json:"error,omitempty"`
	Status   int          `json:"status,omitempty"`
	Body     string       `json:"body,omitempty"`
	Tickets  int          `json:"tickets,omitempty"` // session tickets that the server gave
}

// Health is the answer of a program's /healthz.
type Health struct {
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
	Error  string `json:"error,omitempty"`
}
