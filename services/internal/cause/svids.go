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

// shortest is the shortest life of an SVID with which a rotation still comes in time: it is due at half of it,
// and the agent looks every 250 ms, but has to reach the SPIRE server too.
const shortest = 15 * time.Second

// backdated is how long before its issue an SVID of SPIRE is valid already.
const backdated = 10 * time.Second

// drift is how far the clocks of the machine and of the engine may be apart: the report asks both within seconds.
const drift = time.Minute

// The SVIDs and their time.
var svidCauses = []Cause{
	{
		Code:   "LAB071",
		Sees:   "`certificate has expired or is not yet valid`",
		Means:  "an SVID has expired, because it was not renewed in time",
		Do:     "docker compose logs spire-agent shows whether the agent reaches the SPIRE server",
		Lesson: "scripts/scenarios/expired.md",
		Needs:  []string{"observer-server-workload", "observer-client-workload"},
		look:   (*view).expired,
	},
	{
		Code:   "LAB072",
		Sees:   "`rotated` in every line of a program's log",
		Means:  "the lifetime of an SVID is shorter than its rotation takes",
		Do:     "correct default_x509_svid_ttl in server.conf; or correct -x509SVIDTTL (0 is the SPIRE server's default)" + repeat,
		Lesson: "scripts/scenarios/rotation.md",
		Needs:  []string{"entries", "file-server.conf"},
		look:   (*view).shortLived,
	},
	{
		Code:   "LAB073",
		Sees:   "times in the logs that are not yours",
		Means:  "the engine's clock differs from the clock of this machine",
		Do:     "restart Docker Desktop, whose virtual machine may be late after a laptop has slept; or set the clock",
		Lesson: "scripts/scenarios/sleep.md",
		look:   (*view).clocksApart,
	},
}

func (l *view) expired() *evidence {
	if l.shortLived() != nil {
		return nil // that is why
	}
	for _, w := range workloads {
		if text := l.unhealthy(w.user); strings.Contains(text, "expired") && (l.unserved() || l.waited() || w.service == "server") {
			return &evidence{finding: fmt.Sprintf("%s sees an SVID that has expired, because it was not renewed in time", w.service),
				seen: text, expected: "an SVID is renewed at half of its lifetime"}
		}
		if t := l.Observations[w.user]; t != nil && len(t.SVIDs) > 0 && t.Time.After(t.SVIDs[0].NotAfter) {
			return &evidence{finding: fmt.Sprintf("the agent gives %s an SVID that has expired", w.service),
				seen: fmt.Sprintf("it expired at %s, and it is %s", clock(t.SVIDs[0].NotAfter), clock(t.Time)), expected: "an SVID is renewed at half of its lifetime"}
		}
	}
	return nil
}

func (l *view) clocksApart() *evidence {
	if l.Clock.IsZero() || l.Host.Time.IsZero() {
		return nil
	}
	if apart := l.Clock.Sub(l.Host.Time); apart > drift+l.Host.Patience || apart < -drift {
		return &evidence{seen: fmt.Sprintf("it is %s here, and %s for the engine", stamp(l.Host.Time), stamp(l.Clock)), expected: "the same time"}
	}
	return nil
}

// The trust bundles, of both sides.
var trustCauses = []Cause{
	{
		Code:   "LAB081",
		Sees:   "`certificate signed by unknown authority`",
		Means:  "the agent distributes a trust bundle that is no longer the SPIRE server's",
		Do:     "docker compose up --detach, then docker compose restart spire-agent",
		Lesson: wiped,
		Needs:  []string{"bundle", "observer-server-workload", "observer-client-workload"},
		look:   (*view).oldBundle,
	},
	{
		Code:   "LAB082",
		Sees:   "the client: `certificate signed by unknown authority`",
		Means:  "the server presents an SVID of a CA that is not in the client's trust bundle",
		Do:     "docker compose restart server gives it a new SVID; then read docker compose logs server",
		Lesson: "scripts/scenarios/foreign-server-ca.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).serverOfOtherCA,
	},
	{
		Code:   "LAB083",
		Sees:   "the server: `certificate signed by unknown authority`",
		Means:  "the client shows an SVID of a CA that is not in the server's trust bundle",
		Do:     "docker compose restart client gives it a new SVID; then read docker compose logs client",
		Lesson: "scripts/scenarios/foreign-ca.md",
		Needs:  []string{"observer-client-workload"},
		look:   (*view).clientOfOtherCA,
	},
	{
		Code:   "LAB084",
		Sees:   "`no X.509 bundle for trust domain`",
		Means:  "a program needs the trust bundle of another trust domain and does not have it, because the two trust domains do not federate",
		Do:     "run spire-server federation create; then add -federatesWith to the entries of both programs" + repeat,
		Lesson: "scripts/scenarios/federation.md",
		Needs:  []string{"entries"},
		look:   (*view).notFederated,
	},
}

func (l *view) oldBundle() *evidence {
	for _, w := range workloads {
		if own := bundleOf(l.Observations[w.user], lab.TrustDomain); own != nil && len(l.Bundle) > 0 && !slices.ContainsFunc(l.Bundle, func(r facts.Root) bool { return trusts(own, r.Key) }) {
			return &evidence{seen: fmt.Sprintf("%s gets the CA %s", w.service, short(own.Authorities[0].Key)), expected: fmt.Sprintf("one of %s", keys(l.Bundle))}
		}
	}
	return nil
}

func (l *view) serverOfOtherCA() *evidence {
	r := l.request()
	if r == nil || r.Peer == nil || !strings.Contains(r.Refused, "unknown authority") || l.answeredBy(r) != "" {
		return nil
	}
	e := &evidence{seen: fmt.Sprintf("%s, signed by %s: %s", r.Peer.ID, short(r.Peer.SignedBy), r.Refused), expected: "a CA of the client's trust bundle"}
	if own := bundleOf(l.Observations["client-workload"], lab.TrustDomain); own != nil && len(own.Authorities) > 0 {
		e.expected += ": " + short(own.Authorities[0].Key)
	}
	return e
}

func (l *view) clientOfOtherCA() *evidence {
	if line := l.recently("server", "could not verify leaf certificate: x509: certificate signed by unknown authority"); line != "" && l.unserved() {
		return &evidence{seen: line, expected: "the client's SVID and the server's trust bundle are of one CA"}
	}
	return nil
}

func (l *view) notFederated() *evidence {
	for _, w := range workloads {
		for _, e := range l.entriesOf(w.id) {
			for _, other := range e.FederatesWith {
				other = strings.TrimPrefix(other, "spiffe://")
				if !slices.Contains(l.Federated, other) && l.Section("bundles").OK() {
					return &evidence{seen: fmt.Sprintf("the entry %s federates with %s, of which the SPIRE server has no bundle", e.ID, other), expected: "spire-server bundle list has " + other}
				}
			}
		}
	}
	if l.Section("bundles").OK() && l.Section("entries").OK() && runs(l.Service("partner-server")) {
		const want = "spire-server bundle list has partner.test, and the entries of the programs that need it federate with it"
		if !slices.Contains(l.Federated, partner) {
			return &evidence{seen: "the SPIRE server of partner.test is here, and the one of example.org has no bundle of it", expected: want}
		}
		if !slices.ContainsFunc(l.Entries, func(e facts.Entry) bool { return len(e.FederatesWith) > 0 }) {
			return &evidence{seen: "the SPIRE server has the bundle of partner.test, and no entry federates with it", expected: want}
		}
	}
	for _, w := range workloads {
		line := l.recently(w.service, "no X.509 bundle for trust domain")
		if line == "" {
			line = l.recently(w.service, "no X.509 bundle found for trust domain")
		}
		if line != "" && l.unserved() {
			return &evidence{seen: w.service + ": " + line, expected: "a bundle of every trust domain that it is to speak with"}
		}
	}
	return nil
}

// shortLived is evidence that the lifetime of SVIDs is shorter than their rotation takes.
func (l *view) shortLived() *evidence {
	want := fmt.Sprintf("%s at least", shortest)
	for _, w := range workloads {
		for _, e := range l.entriesOf(w.id) {
			if ttl := time.Duration(e.TTL) * time.Second; ttl > 0 && ttl < shortest {
				right := e
				right.TTL = 0
				return &evidence{seen: fmt.Sprintf("the entry %s: SVIDs of %s are valid for %s", e.ID, w.service, ttl), expected: want,
					do: "give it the SPIRE server's default", run: update(right)}
			}
		}
	}
	if ttl, err := time.ParseDuration(l.Setting("server.conf", "default_x509_svid_ttl")); err == nil && ttl < shortest {
		return &evidence{seen: fmt.Sprintf("server.conf: default_x509_svid_ttl = %s", ttl), expected: want}
	}
	return l.eachObserved(func(w workload, t *observation.Observation) *evidence {
		if len(t.SVIDs) > 0 {
			if life := t.SVIDs[0].NotAfter.Sub(t.SVIDs[0].NotBefore) - backdated; life < shortest {
				return &evidence{seen: fmt.Sprintf("an SVID of %s is valid for %s", w.service, life), expected: want}
			}
		}
		return nil
	})
}

// partner is the other trust domain that there is in the lab, in scenarios (spire/partner).
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
