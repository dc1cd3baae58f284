package grade

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
	"github.com/spiffe-lab/spiffe-lab/services/internal/observation"
)

// entries: each entry has the same meaning as an entry from before the fault. The entry ID, the order of a list, and a default that is
// given explicitly do not count.
func (c *comparison) entries() {
	if !c.Before.Section("entries").OK() || !c.Now.Section("entries").OK() {
		return // survival reports that the SPIRE server does not answer
	}
	for _, now := range c.Now.Entries {
		id := now.SPIFFEID.String()
		var nearest []Difference
		known := false
		for _, was := range c.Before.Entries {
			if was.SPIFFEID != now.SPIFFEID {
				continue
			}
			if found := c.between(was, now); !known || len(found) < len(nearest) {
				known, nearest = true, found
			}
		}
		if !known {
			nearest = []Difference{{EntryNew, id, "", strings.Join(meaningOf(now, c.Now), ", ")}}
		}
		for _, d := range nearest {
			c.add(d.Kind, d.Subject, d.Before, d.Now)
		}
	}
}

// The function between returns the differences of two entries with the same SPIFFE ID. More selectors than before do not count as a
// difference, because they do not give anyone new access.
func (c *comparison) between(was, now facts.Entry) []Difference {
	var found []Difference
	id := now.SPIFFEID.String()
	had, has := list(strs(was.Selectors)), list(strs(now.Selectors))
	if alias := now.ParentID.Path == "/spire/server"; alias && had != has {
		found = append(found, Difference{EntryField, id + " list of selectors (-selector)", had, has})
	} else if !alias && !c.asksForAll(strs(was.Selectors), strs(now.Selectors)) {
		found = append(found, Difference{EntryWider, id, had, has})
	}
	if !c.sameHost(was.ParentID, now.ParentID) {
		found = append(found, Difference{EntryField, id + " parent (-parentID)", was.ParentID.String(), now.ParentID.String()})
	}
	before, after := fields(was, c.Before), fields(now, c.Now)
	for i, field := range after {
		if field != before[i] {
			found = append(found, Difference{EntryField, id + " " + field.name, before[i].value, field.value})
		}
	}
	return found
}

// field is a field of an entry, as a learner reads it.
type field struct{ name, value string }

// fields are the fields of an entry, without its SPIFFE ID, parent and selectors.
func fields(e facts.Entry, f *facts.Facts) []field {
	expiry := "never"
	if e.ExpiresAt != 0 {
		expiry = time.Unix(e.ExpiresAt, 0).UTC().Format(time.RFC3339)
	}
	return []field{
		{"X.509-SVID TTL (-x509SVIDTTL)", f.X509SVIDTTL(e).String()},
		{"JWT-SVID TTL (-jwtSVIDTTL)", f.JWTSVIDTTL(e).String()},
		{"expiry (-entryExpiry)", expiry},
		{"list of DNS names (-dns)", list(e.DNSNames)},
		{"list of federated trust domains (-federatesWith)", list(e.FederatesWith)},
		{"hint (-hint)", cmp.Or(e.Hint, "none")},
		{"admin flag (-admin)", set(e.Admin)},
		{"downstream flag (-downstream)", set(e.Downstream)},
		{"flag -storeSVID", set(e.StoreSVID)},
		{"attribute disable_x509_svid_prefetch", set(e.Attributes.DisableX509SVIDPrefetch)},
		{"attribute jwt_svid_include_jti", set(e.Attributes.JWTSVIDIncludeJTI)},
	}
}

// meaningOf has the parent and the selectors of an entry, and its other fields.
func meaningOf(e facts.Entry, f *facts.Facts) []string {
	texts := []string{e.ParentID.String(), list(strs(e.Selectors))}
	for _, field := range fields(e, f) {
		texts = append(texts, field.value)
	}
	return texts
}

func set(flag bool) string {
	if flag {
		return "set"
	}
	return "not set"
}

// list joins texts whose order has no meaning.
func list(texts []string) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(texts)))
	return cmp.Or(strings.Join(sorted, " "), "none")
}

// sameHost tells whether two parents are the same host. A parent can be the SPIFFE ID of the host or of its agent.
func (c *comparison) sameHost(was, now facts.ID) bool {
	return was == now || was.Path == "/host" && slices.ContainsFunc(c.Before.Agents, func(a facts.Agent) bool { return a.ID == now })
}

func (c *comparison) under(entries []facts.Entry, e facts.Entry) bool {
	return slices.ContainsFunc(entries, func(n facts.Entry) bool { return n.SPIFFEID == e.SPIFFEID && c.sameHost(e.ParentID, n.ParentID) })
}

// moved tells whether there is now an entry for the SPIFFE ID of e under a parent that had no entry for this SPIFFE ID before the fault.
// The function between reports this as a different parent.
func (c *comparison) moved(e facts.Entry) bool {
	return slices.ContainsFunc(c.Now.Entries, func(n facts.Entry) bool {
		return n.SPIFFEID == e.SPIFFEID && !slices.ContainsFunc(c.Before.Entries, func(b facts.Entry) bool { return b.SPIFFEID == n.SPIFFEID && c.sameHost(b.ParentID, n.ParentID) })
	})
}

// asksForAll tells whether the selectors of an entry include all selectors from before the fault. Instead of an old hash of a program file,
// the entry may also have the current hash of the client's program file.
func (c *comparison) asksForAll(before, now []string) bool {
	const pin = "unix:sha256:"
	return !slices.ContainsFunc(before, func(b string) bool {
		if !strings.HasPrefix(b, pin) {
			return !slices.Contains(now, b)
		}
		return !slices.ContainsFunc(now, func(n string) bool {
			if n == b {
				return true
			}
			sum, isPin := strings.CutPrefix(n, pin)
			return isPin && slices.ContainsFunc(slices.Collect(maps.Values(c.Now.Observations)), func(t *observation.Observation) bool {
				return t.Programs["/opt/spiffe-lab/bin/client"] == sum
			})
		})
	})
}

// narrow tells whether an entry for this SPIFFE ID has a selector for the program file.
func (c *comparison) narrow(id string) bool {
	return slices.ContainsFunc(c.Now.Entries, func(e facts.Entry) bool {
		return e.SPIFFEID.String() == id && slices.ContainsFunc(e.Selectors, func(s facts.Selector) bool {
			return strings.HasPrefix(s.Value, "path:") || strings.HasPrefix(s.Value, "sha256:")
		})
	})
}

func strs(selectors []facts.Selector) []string {
	var s []string
	for _, selector := range selectors {
		s = append(s, selector.String())
	}
	return s
}

// lifetimes: an SVID is valid for as long as before. The lifetime of the SVID shows a changed TTL, both of an entry and of the SPIRE
// server's configuration.
func (c *comparison) lifetimes() {
	for _, w := range lab.Workloads {
		user := w.User
		was, now := c.Before.Observations[user], c.Now.Observations[user]
		if was == nil || now == nil {
			continue
		}
		for _, svid := range now.SVIDs {
			i := slices.IndexFunc(was.SVIDs, func(b observation.Certificate) bool { return b.ID == svid.ID })
			if i < 0 {
				continue
			}
			before, after := was.SVIDs[i].NotAfter.Sub(was.SVIDs[i].NotBefore), svid.NotAfter.Sub(svid.NotBefore)
			if (after - before).Abs() > before/5 {
				c.add(LifetimeSeen, user, before.String(), after.String())
			}
		}
	}
}
