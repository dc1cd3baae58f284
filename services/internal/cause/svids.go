package cause

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// shortest is the shortest lifetime of an SVID that still allows a rotation in time. The rotation is due at half of the lifetime. The agent
// checks every 250 ms, but it also has to reach the SPIRE server.
const shortest = 15 * time.Second

// backdated is the time by which SPIRE backdates an SVID: the start of validity is this long before the issue.
const backdated = 10 * time.Second

// drift is the largest difference that is accepted between the clocks of the machine and of the engine. The report reads both clocks within
// seconds.
const drift = time.Minute

// The SVIDs and their lifetimes.
var svidCauses = []Cause{
	{
		Code:   "LAB071",
		Sees:   "`certificate has expired or is not yet valid`",
		Means:  "an SVID has expired, because it was not renewed in time",
		Do:     "check in the agent's log whether the agent reaches the SPIRE server: docker compose logs spire-agent",
		Lesson: "scripts/scenarios/expired.md",
		Needs:  []string{"observer-server-workload", "observer-client-workload"},
		look:   (*view).expired,
	},
	{
		Code:   "LAB072",
		Sees:   "`rotated` in every line of a program's log",
		Means:  "the lifetime of an SVID is so short that the agent renews the SVID again and again",
		Do:     "correct default_x509_svid_ttl in server.conf, and run \"make up\". Or correct -x509SVIDTTL of the entry (0 is the SPIRE server's default)" + repeat,
		Lesson: "scripts/scenarios/rotation.md",
		Needs:  []string{"entries", "file-server.conf"},
		look:   (*view).shortLived,
	},
	{
		Code:   "LAB073",
		Sees:   "the times in the logs are wrong",
		Means:  "the engine's clock differs from the clock of this machine",
		Do:     "restart Docker Desktop, whose clock may be late after a laptop was asleep. Without Docker Desktop, set the clock that is wrong",
		Lesson: "scripts/scenarios/sleep.md",
		look:   (*view).clocksApart,
	},
}

func (l *view) expired() *evidence {
	if l.shortLived() != nil {
		return nil // that finding explains it
	}
	for _, w := range workloads {
		if text := l.unhealthy(w.user); strings.Contains(text, "expired") && (l.unserved() || l.waited() || w.service == "server") {
			return &evidence{finding: fmt.Sprintf("%s sees an SVID that has expired, because it was not renewed in time", w.service),
				seen: text, expected: "an SVID is renewed at half of its lifetime"}
		}
		if t := l.Observations[w.user]; t != nil && len(t.SVIDs) > 0 && t.Time.After(t.SVIDs[0].NotAfter) {
			return &evidence{finding: fmt.Sprintf("the agent gives %s an SVID that has expired", w.service),
				seen: fmt.Sprintf("the SVID expired at %s, and the time now is %s", clock(t.SVIDs[0].NotAfter), clock(t.Time)), expected: "an SVID is renewed at half of its lifetime"}
		}
	}
	return nil
}

func (l *view) clocksApart() *evidence {
	if l.Clock.IsZero() || l.Host.Time.IsZero() {
		return nil
	}
	if apart := l.Clock.Sub(l.Host.Time); apart > drift+l.Host.Patience || apart < -drift {
		return &evidence{seen: fmt.Sprintf("this machine's clock shows %s, and the engine's clock shows %s", stamp(l.Host.Time), stamp(l.Clock)), expected: "both clocks show the same time"}
	}
	return nil
}

// The trust bundles, of both sides.
var trustCauses = []Cause{
	{
		Code:   "LAB081",
		Sees:   "`certificate signed by unknown authority`",
		Means:  "the agent distributes an old trust bundle, which lacks the CA of the SPIRE server",
		Do:     "run \"docker compose up --detach\", then restart the agent: docker compose restart spire-agent",
		Lesson: wiped,
		Needs:  []string{"bundle", "observer-server-workload", "observer-client-workload"},
		look:   (*view).oldBundle,
	},
	{
		Code:   "LAB082",
		Sees:   "the client prints `certificate signed by unknown authority`",
		Means:  "the server presents an SVID from a CA that is not in the client's trust bundle",
		Do:     "restart the server, so that it gets its SVID from the agent again (docker compose restart server). Then read its log: docker compose logs server",
		Lesson: "scripts/scenarios/foreign-server-ca.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).serverOfOtherCA,
	},
	{
		Code:   "LAB083",
		Sees:   "the server prints `certificate signed by unknown authority`",
		Means:  "the client presents an SVID from a CA that is not in the server's trust bundle",
		Do:     "restart the client, so that it gets its SVID from the agent again (docker compose restart client). Then read its log: docker compose logs client",
		Lesson: "scripts/scenarios/foreign-ca.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).clientOfOtherCA,
	},
	{
		Code:   "LAB084",
		Sees:   "`no X.509 bundle for trust domain`",
		Means:  "a program needs the trust bundle of another trust domain and does not have it, because the two trust domains do not federate",
		Do:     "run \"spire-server federation create\". Then add -federatesWith to the entries of both programs" + repeat,
		Lesson: "scripts/scenarios/federation.md",
		Needs:  []string{"entries"},
		look:   (*view).notFederated,
	},
}

func (l *view) oldBundle() *evidence {
	for _, w := range workloads {
		if own := bundleOf(l.Observations[w.user], lab.TrustDomain); own != nil && len(l.Bundle) > 0 && !slices.ContainsFunc(l.Bundle, func(r facts.Root) bool { return trusts(own, r.Key) }) {
			return &evidence{seen: fmt.Sprintf("%s gets the CA %s", w.service, short(own.Authorities[0].Key)), expected: "a CA of the SPIRE server: " + keys(l.Bundle)}
		}
	}
	return nil
}

func (l *view) serverOfOtherCA() *evidence {
	r := l.request()
	if r == nil || r.Peer == nil || !strings.Contains(r.Refused, "unknown authority") || l.answeredBy(r) != "" {
		return nil
	}
	e := &evidence{seen: fmt.Sprintf("an SVID for %s, signed by the CA %s: %s", r.Peer.ID, short(r.Peer.SignedBy), r.Refused), expected: "a CA in the client's trust bundle"}
	if own := bundleOf(l.Observations["client-workload"], lab.TrustDomain); own != nil && len(own.Authorities) > 0 {
		e.expected += ": " + short(own.Authorities[0].Key)
	}
	return e
}

func (l *view) clientOfOtherCA() *evidence {
	if line := l.recently("server", "could not verify leaf certificate: x509: certificate signed by unknown authority"); line != "" && l.unserved() {
		return &evidence{seen: line, expected: "a CA in the server's trust bundle has signed the client's SVID"}
	}
	return nil
}

func (l *view) notFederated() *evidence {
	for _, w := range workloads {
		for _, e := range l.entriesOf(w.id) {
			for _, other := range e.FederatesWith {
				other = strings.TrimPrefix(other, "spiffe://")
				if !slices.Contains(l.Federated, other) && l.Section("bundles").OK() {
					return &evidence{seen: fmt.Sprintf("the entry %s federates with %s, whose bundle the SPIRE server does not have", e.ID, other), expected: "\"spire-server bundle list\" shows " + other}
				}
			}
		}
	}
	if l.Section("bundles").OK() && l.Section("entries").OK() && runs(l.Service("partner-server")) {
		const want = "\"spire-server bundle list\" shows partner.test, and the entries of the programs that need this bundle federate with partner.test"
		if !slices.Contains(l.Federated, partner) {
			return &evidence{seen: "the SPIRE server of partner.test runs, but the SPIRE server of example.org does not have the bundle of partner.test", expected: want}
		}
		if !slices.ContainsFunc(l.Entries, func(e facts.Entry) bool { return len(e.FederatesWith) > 0 }) {
			return &evidence{seen: "the SPIRE server has the bundle of partner.test, but no entry federates with partner.test", expected: want}
		}
	}
	for _, w := range workloads {
		line := l.recently(w.service, "no X.509 bundle for trust domain")
		if line == "" {
			line = l.recently(w.service, "no X.509 bundle found for trust domain")
		}
		if line != "" && l.unserved() {
			return &evidence{seen: w.service + ": " + line, expected: "the program has the bundle of each trust domain whose SVIDs it must verify"}
		}
	}
	return nil
}

// shortLived is evidence that SVIDs expire before they can be rotated, because their lifetime is too short.
func (l *view) shortLived() *evidence {
	want := fmt.Sprintf("at least %s", shortest)
	for _, w := range workloads {
		for _, e := range l.entriesOf(w.id) {
			if ttl := time.Duration(e.TTL) * time.Second; ttl > 0 && ttl < shortest {
				right := e
				right.TTL = 0
				return &evidence{seen: fmt.Sprintf("the entry %s: SVIDs for %s are valid for %s", e.ID, w.service, ttl), expected: want,
					do: "give the entry the SPIRE server's default TTL", run: update(right)}
			}
		}
	}
	if ttl, err := time.ParseDuration(l.Setting("server.conf", "default_x509_svid_ttl")); err == nil && ttl < shortest {
		return &evidence{seen: fmt.Sprintf("server.conf: default_x509_svid_ttl = %s", ttl), expected: want}
	}
	return l.eachObserved(func(w workload, t *observation.Observation) *evidence {
		if len(t.SVIDs) > 0 {
			if life := t.SVIDs[0].NotAfter.Sub(t.SVIDs[0].NotBefore) - backdated; life < shortest {
				return &evidence{seen: fmt.Sprintf("an SVID for %s is valid for %s", w.service, life), expected: want}
			}
		}
		return nil
	})
}

// partner is the second trust domain of the lab, which scenarios use (spire/partner).
const partner = "partner.test"

func bundleOf(t *observation.Observation, trustDomain string) *observation.Bundle {
	if t != nil {
		for i := range t.Bundles {
			if t.Bundles[i].TrustDomain == trustDomain && len(t.Bundles[i].Authorities) > 0 {
				return &t.Bundles[i]
			}
		}
	}
	return nil
}

func trusts(b *observation.Bundle, key string) bool {
	return slices.ContainsFunc(b.Authorities, func(c observation.Certificate) bool { return c.Key == key })
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }
