package main

import (
	"fmt"
	"slices"
	"strings"
)

// What looks well, and is too open: somebody else would be served too.
var openChecks = []check{
	{"LAB111", "`Success!!!` for a user who is neither of the two", "an entry is so broad that other users get the SVID too",
		"spire-server entry update, with -selector unix:user: of the one user", "scripts/scenarios/stolen-user.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				for _, e := range l.entriesOf(w.id) {
					for _, u := range l.Users {
						if u.Name == w.user || !slices.Contains(l.hosts(), e.ParentID.String()) {
							continue
						}
						for _, program := range workloads {
							c := l.Service(program.service)
							if c == nil {
								continue
							}
							as := *c
							as.User = u.Name
							if l.fits(e, l.Derived(&as)) {
								return &evidence{
									finding: fmt.Sprintf("the entry %s is so broad that %s gets the SVID of %s", e.ID, u.Name, w.service),
									seen:    fmt.Sprintf("%s: %s", e.SPIFFEID, list(e)), expected: "unix:user:" + w.user,
									do: fmt.Sprintf(spireCLI+"entry update -entryID %s -parentID %s -spiffeID %s -selector unix:user:%s", e.ID, hostID, w.id, w.user),
								}
							}
						}
					}
				}
			}
			if t := l.Witnesses[guest]; t != nil {
				for _, s := range t.SVIDs {
					for _, w := range workloads {
						if s.ID == w.id {
							return &evidence{finding: fmt.Sprintf("%s gets the SVID of %s", guest, w.service), seen: s.ID, expected: "no identity issued"}
						}
					}
				}
			}
			return nil
		}},
	{"LAB112", "two SVIDs in `make svid`", "two entries give one program two identities: which one it shows is chance",
		"spire-server entry delete -entryID of the one that should not be", "scripts/scenarios/wrong-selector.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				c := l.Service(w.service)
				if c == nil {
					continue
				}
				for _, e := range l.matching(c) {
					if id := e.SPIFFEID.String(); id != w.id {
						return &evidence{
							finding: fmt.Sprintf("two entries give %s two identities: which one it shows is chance", w.service),
							seen:    fmt.Sprintf("the entry %s gives it %s too", e.ID, id), expected: w.id + " alone",
							do: spireCLI + "entry delete -entryID " + e.ID,
						}
					}
				}
			}
			return nil
		}},
	{"LAB113", "`Success!!!` for the wrong SPIFFE ID", "the server authorizes more than its client: anybody of the trust domain is served",
		"authorize one exact ID (tlsconfig.AuthorizeID): git diff services/server compose.yaml, then make up", "scripts/scenarios/bad-id.md",
		func(l *lab) *evidence {
			if t := l.Witnesses["server-workload"]; t != nil && t.Program == "server" {
				for _, r := range t.Requests {
					if r.WithSVID && r.Status == 200 && len(t.SVIDs) > 0 && t.SVIDs[0].ID != clientID {
						return &evidence{seen: fmt.Sprintf("the server served %s", t.SVIDs[0].ID), expected: "it refuses everybody but " + clientID}
					}
				}
			}
			return nil
		}},
	{"LAB114", "`Success!!!` for `curl -k`", "the server serves whoever shows no certificate",
		"ask for and verify a client certificate (tlsconfig.MTLSServerConfig): git diff services/server, then make up", "scripts/scenarios/no-certificate.md",
		func(l *lab) *evidence {
			if t := l.Witnesses["server-workload"]; t != nil && t.Program == "server" {
				for _, r := range t.Requests {
					if !r.WithSVID && r.Status == 200 {
						return &evidence{seen: "the server served a request without a certificate", expected: "certificate required"}
					}
				}
			}
			return nil
		}},
	{"LAB115", "`Reused, TLSv1.3`", "the server gives session tickets: who resumes a session is not verified again",
		"SessionTicketsDisabled = true: git diff services/server, then make up", "scripts/scenarios/resumption.md",
		func(l *lab) *evidence {
			for _, w := range workloads {
				t := l.Witnesses[w.user]
				if t == nil {
					continue
				}
				for _, r := range t.Requests {
					if r.Tickets > 0 && l.answeredBy(&r) == "" {
						return &evidence{seen: fmt.Sprintf("the server gave %d session tickets with one response", r.Tickets), expected: "none"}
					}
				}
			}
			return nil
		}},
	{"LAB116", "`Admin : true` or `Downstream : true` in `make entries`", "an entry lets a program make entries and SVIDs of its own",
		"spire-server entry update, without -admin and -downstream", "scripts/scenarios/revocation.md",
		func(l *lab) *evidence {
			for _, e := range l.Entries {
				if e.Admin || e.Downstream {
					return &evidence{seen: fmt.Sprintf("the entry %s (%s) is flagged: admin %t, downstream %t", e.ID, e.SPIFFEID, e.Admin, e.Downstream), expected: "no flag",
						do: fmt.Sprintf(spireCLI+"entry update -entryID %s -parentID %s -spiffeID %s%s", e.ID, e.ParentID, e.SPIFFEID, flags(e))}
				}
			}
			return nil
		}},
	{"LAB117", "`--privileged`, `pid: host` or Docker's socket in compose.yaml", "a container of the lab may do much more to this machine than it needs",
		"git diff compose.yaml; docker compose up --detach", "scripts/scenarios/stolen-user.md",
		func(l *lab) *evidence {
			for _, name := range services {
				c := l.Service(name)
				if c == nil {
					continue
				}
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
			}
			return nil
		}},
	{"LAB118", "a volume of SPIRE's in a program's container", "a program can reach what is the SPIRE server's or the host's alone: its admin socket, its data, or the host's key",
		"git diff compose.yaml; docker compose up --detach", "scripts/scenarios/revocation.md",
		func(l *lab) *evidence {
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
			for _, w := range workloads {
				if c := l.Service(w.service); c != nil {
					for _, m := range c.Mounts {
						if at := theirs[m.Name]; at != "" {
							return &evidence{seen: fmt.Sprintf("%s has the volume %s (%s) on %s", w.service, m.Name, at, m.At), expected: "the Workload API's directory alone"}
						}
					}
				}
			}
			return nil
		}},
}
