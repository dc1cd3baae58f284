// Package lab has the names of the lab: SPIFFE IDs, users, services, images, volumes, paths and ports. Each name is also in
// another file (compose.yaml, scripts/scenarios/extras.yaml, spire/), and the tests compare the two.
package lab

// SPIFFE IDs. The first three are those of go-spiffe's example.
const (
	TrustDomain = "example.org"
	ServerID    = "spiffe://example.org/server"
	ClientID    = "spiffe://example.org/client"
	HostID      = "spiffe://example.org/host"                     // the parent of both entries: an alias of the host's agent
	AgentID     = "spiffe://example.org/spire/agent/x509pop/host" // the agent's SPIFFE ID, which node attestation gives it
)

// Users of the host (spire/host/passwd). A workload is attested by its user.
const (
	ServerUser = "server-workload"
	ClientUser = "client-workload"
	GuestUser  = "guest-workload" // has no registration entry
)

// Services of compose.yaml.
const (
	Node        = "node"
	SPIREServer = "spire-server"
	Bootstrap   = "bootstrap"
	SPIREAgent  = "spire-agent"
	Server      = "server"
	Client      = "client"
)

// Services of scripts/scenarios/extras.yaml that the scenario helpers name.
const (
	Tools  = "tools"
	Steady = "steady" // the client whose requests are counted
)

// InForce returns the sentence that Compose reads an override in addition to compose.yaml.
func InForce(override string) string {
	return override + " is in force: Compose reads it beside compose.yaml"
}

// Lists in a fixed order. Services are in the order in which they start.
var (
	Services = []string{Node, SPIREServer, Bootstrap, SPIREAgent, Server, Client}
	Extras   = []string{Tools, "impostor", Steady, "prefix-server", "path-server", "relay", "tls-proxy", "server-for-proxy", "client-elsewhere", "no-users", "server-for-partner", "host-b", "partner-host", "partner-server", "impostor-spire-server"}
	Volumes  = []string{"spire-server-data", "spire-server-admin", "host-credential", "workload-api", "trust-bundle", "spire-server-empty-disk"}
	Images   = []string{"workload", "spire-server", "bootstrap", "spire-agent"} // the images that `docker compose up` needs, without the image tools
)

// Workloads has, for each of the two programs, its service, its user and the SPIFFE ID of its registration entry.
var Workloads = []struct{ Service, User, ID string }{
	{Server, ServerUser, ServerID},
	{Client, ClientUser, ClientID},
}

// Paths in containers.
const (
	SPIREServerCLI = "/opt/spire/bin/spire-server"
	ScratchDir     = "/scratch" // in the extras; deleted with the container
)

// URLs in containers.
const (
	ServerURL = "https://server:8443/"
	HealthURL = "http://127.0.0.1:8080/healthz"
)

// Project is the Compose project of the lab if COMPOSE_PROJECT_NAME is not set.
const Project = "spiffe-lab"

// ImagePrefix begins the name of each image of the lab.
const ImagePrefix = "spiffe-lab/"

// ScenarioEntry begins the ID of every registration entry that a scenario creates.
const ScenarioEntry = "scenario-"

// Lasts reports whether a service of compose.yaml keeps running; bootstrap runs once.
func Lasts(service string) bool { return service != Bootstrap }
