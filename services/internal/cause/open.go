package cause

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// Access that is too open, although the client is served.
var openCauses = []Cause{
	{
		Code:   "LAB111",
		Sees:   "`Success!!!` for a user that must not get the SVID",
		Means:  "an entry is so broad that other users get the SVID too",
		Do:     "add -selector unix:user:" + repeat + ". If a narrower entry also gives the workload its SVID, delete the broad entry instead",
		Lesson: "scripts/scenarios/stolen-user.md",
		Needs:  []string{"entries", "observer-guest-workload"},
		look:   (*view).broadEntry,
	},
	{
		Code:   "LAB112",
		Sees:   "two SVIDs in `make svid`",
		Means:  "several entries match one program, and its default SVID comes from the entry whose ID sorts first",
		Do:     separate + " with \"spire-server entry delete\"",
		Lesson: "scripts/scenarios/two-identities.md",
		Needs:  []string{"entries"},
		look:   (*view).severalSVIDs,
	},
	{
		Code:   "LAB113",
		Sees:   "`Success!!!` for the wrong SPIFFE ID",
		Means:  "the server authorizes every workload of the trust domain, not only its client",
		Do:     "authorize one exact ID with tlsconfig.AuthorizeID (\"git diff services/server compose.yaml\" shows what changed). Then run: make up",
		Lesson: "scripts/scenarios/bad-id.md",
		Needs:  []string{"observer-server-workload"},
		look:   (*view).authorizesAny,
	},
	{
		Code:   "LAB114",
		Sees:   "`Success!!!` for `curl -k`",
		Means:  "the server serves clients that present no certificate",
		Do:     "ask for and verify a client certificate with tlsconfig.MTLSServerConfig (\"git diff services/server\" shows what changed). Then run: make up",
		Lesson: "scripts/scenarios/no-certificate.md",
		Needs:  []string{"observer-server-workload"},
		look:   (*view).noCertificateNeeded,
	},
	{
		Code:   "LAB115",
		Sees:   "`Reused, TLSv1.3`",
		Means:  "the server issues session tickets, so it does not verify the certificate of a client that resumes a session",
		Do:     "set tlsConfig.SessionTicketsDisabled = true in services/server/main.go (\"git diff services/server\" shows what changed). Then run: make up",
		Lesson: "scripts/scenarios/resumption.md",
		Needs:  []string{"observer-server-workload", "observer-client-workload"},
		look:   (*view).sessionTickets,
	},
	{
		Code:   "LAB116",
		Sees:   "`Admin : true` or `Downstream : true` in `make entries`",
		Means:  "an entry has the flag admin or downstream, so a program with its SVID can control the SPIRE server, or sign any SVID of the trust domain",
		Do:     "ask who set the flag, and why. " + remains + " Remove the flag" + repeat,
		Lesson: "scripts/scenarios/revocation.md",
		Needs:  []string{"entries"},
		look:   (*view).powerfulEntry,
	},
	{
		Code:   "LAB117",
		Sees:   "`privileged`, `pid: host` or Docker's socket in compose.yaml",
		Means:  "a container of the lab has more rights on this machine than it needs",
		Do:     "remove the unnecessary right from " + composeFile + composeDiff + ". Then run: docker compose up --detach",
		Lesson: "scripts/scenarios/stolen-user.md",
		Needs:  []string{"containers"},
		look:   (*view).powerfulContainer,
	},
	{
		Code:   "LAB118",
		Sees:   "a volume of SPIRE in the container of a program",
		Means:  "a program can reach the SPIRE server's admin socket or data, or the host's key",
		Do:     "remove SPIRE's volume from the program's service in " + composeFile + composeDiff + ". Then run: docker compose up --detach",
		Lesson: "scripts/scenarios/revocation.md",
		Needs:  []string{"containers"},
		look:   (*view).reachesSPIRE,
	},
}

func (l *view) broadEntry() *evidence {
	for _, w := range workloads {
		for _, is := range l.entriesOf(w.id) {
			other := l.othersBy(is, w)
			if other == "" || !slices.Contains(l.hosts(), is.ParentID.String()) {
				continue
			}
			e := evidence{
				finding: fmt.Sprintf("the entry %s is so broad that %s gets the SVID of %s", is.ID, other, w.service),
				seen:    fmt.Sprintf("%s: %s", is.SPIFFEID, list(is)), expected: "unix:user:" + w.user,
			}
			if !w.owns(is) && l.needless(is, w) {
				e.do = fmt.Sprintf("%s also gets its SVID by another entry. If no other program needs the entry %s, delete it", w.service, is.ID)
				e.run = remove(is)
				return &e
			}
			right := is
			right.Selectors = l.corrected(is, w)
			e.run = update(right)
			return &e
		}
	}
	if t := l.Observations[lab.GuestUser]; t != nil {
		for _, s := range t.SVIDs {
			for _, w := range workloads {
				if s.ID == w.id {
					return &evidence{finding: fmt.Sprintf("%s gets the SVID of %s", lab.GuestUser, w.service), seen: s.ID, expected: "no identity issued"}
				}
			}
		}
	}
	return nil
}

func (l *view) severalSVIDs() *evidence {
	for _, w := range workloads {
		if others := l.othersOf(w); len(others) > 0 {
			return &evidence{
				finding: fmt.Sprintf("several entries match %s, and its default SVID comes from the entry whose ID sorts first", w.service),
				seen:    fmt.Sprintf("the entry %s also gives %s an SVID for %s", others[0].ID, w.service, others[0].SPIFFEID), expected: "only " + w.id,
				do: separate, run: remove(others[0]),
			}
		}
	}
	return nil
}

func (l *view) authorizesAny() *evidence {
	if t := l.Observations["server-workload"]; t != nil && t.Program == "server" {
		for _, r := range t.Requests {
			if r.WithSVID && r.Status == 200 && len(t.SVIDs) > 0 && t.SVIDs[0].ID != lab.ClientID {
				return &evidence{seen: fmt.Sprintf("the server served %s", t.SVIDs[0].ID), expected: "the server refuses every SPIFFE ID except " + lab.ClientID, do: l.built(lab.Server, "")}
			}
		}
	}
	return nil
}

func (l *view) noCertificateNeeded() *evidence {
	if t := l.Observations["server-workload"]; t != nil && t.Program == "server" {
		for _, r := range t.Requests {
			if !r.WithSVID && r.Status == 200 {
				return &evidence{seen: "the server served a request without a certificate", expected: "certificate required", do: l.built(lab.Server, "")}
			}
		}
	}
	return nil
}

func (l *view) sessionTickets() *evidence {
	return l.eachObserved(func(w workload, t *observation.Observation) *evidence {
		for _, r := range t.Requests {
			if r.Tickets > 0 && l.answeredBy(&r) == "" {
				return &evidence{seen: fmt.Sprintf("the server issued %d session tickets with one response", r.Tickets), expected: "no session tickets", do: l.built(lab.Server, "")}
			}
		}
		return nil
	})
}

func (l *view) powerfulEntry() *evidence {
	for _, is := range l.Entries {
		if !is.Admin && !is.Downstream {
			continue
		}
		e := evidence{seen: fmt.Sprintf("the entry %s (%s) has the flags admin = %t, downstream = %t", is.ID, is.SPIFFEID, is.Admin, is.Downstream), expected: "neither flag"}
		if is.Admin {
			e.finding = fmt.Sprintf("a program with the SVID of %s can mint any SVID of the trust domain, and change the entries, bundles and CAs of the SPIRE server", is.SPIFFEID)
		} else {
			e.finding = fmt.Sprintf("a program with the SVID of %s can become an intermediate CA, and can then sign any SVID of the trust domain", is.SPIFFEID)
		}
		right := is
		right.Admin, right.Downstream = false, false
		e.do, e.run = "ask who set the flag, and why. "+remains+" Remove the flag", update(right)
		return &e
	}
	return nil
}

func (l *view) powerfulContainer() *evidence {
	return l.eachService(func(name string, c *facts.Container) *evidence {
		may := ""
		switch {
		case c.Privileged:
			may = "is privileged"
		case c.PIDMode == "host":
			may = "sees every process of this machine"
		case !strings.HasPrefix(name, "spire-agent") && name != "bootstrap" && len(c.CapAdd) > 0:
			may = fmt.Sprintf("has the capabilities %v", c.CapAdd)
		}
		for _, m := range c.Mounts {
			if strings.HasSuffix(m.Source, "docker.sock") {
				may = "has Docker's socket"
			}
		}
		if may != "" {
			return &evidence{seen: name + " " + may, expected: "cap_drop: [ALL], not privileged"}
		}
		return nil
	})
}

func (l *view) reachesSPIRE() *evidence {
	theirs := map[string]string{}
	for _, name := range []string{"spire-server", "bootstrap"} {
		if c := l.Service(name); c != nil {
			for _, m := range c.Mounts {
				if m.Type == "volume" {
					theirs[m.Name] = m.At
				}
			}
		}
	}
	return l.eachProgram(func(w workload, c *facts.Container) *evidence {
		for _, m := range c.Mounts {
			if at := theirs[m.Name]; at != "" {
				return &evidence{seen: fmt.Sprintf("the volume %s, which SPIRE has at %s, is mounted at %s in %s", m.Name, at, m.At, w.service), expected: "only the directory of the Workload API"}
			}
		}
		return nil
	})
}

// remains tells a learner which effects of a flag remain after the flag is removed.
const remains = "Once the flag is removed, the SPIRE server refuses the next call that needs the flag. But everything that the SPIRE server has issued stays valid, and every change that was made with the flag stays. So check all entries and trust bundles. If the flag was downstream, also replace the CA (make scenario-ca-rotation)."

// needless tells whether a second entry of this host gives the workload the same SPIFFE ID as the entry e.
func (l *view) needless(e facts.Entry, w workload) bool {
	c := l.Service(w.service)
	return c != nil && slices.ContainsFunc(l.matching(c), func(other facts.Entry) bool { return other.ID != e.ID && other.SPIFFEID == e.SPIFFEID })
}
