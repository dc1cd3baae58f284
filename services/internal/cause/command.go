package cause

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spiffe-lab/spiffe-lab/services/internal/facts"
	"github.com/spiffe-lab/spiffe-lab/services/internal/lab"
)

// The entries as spire/bootstrap.sh creates them.
func hostEntry() facts.Entry {
	return facts.Entry{ID: "host", SPIFFEID: parsed(lab.HostID), ParentID: parsed(aliasOf), Selectors: []facts.Selector{{Type: "spiffe_id", Value: lab.AgentID}}}
}

func (w workload) entry() facts.Entry {
	return facts.Entry{ID: w.service, SPIFFEID: parsed(w.id), ParentID: parsed(lab.HostID), Selectors: []facts.Selector{{Type: "unix", Value: "user:" + w.user}}}
}

func parsed(id string) facts.ID {
	trustDomain, path, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	return facts.ID{TrustDomain: trustDomain, Path: "/" + path}
}

// update are the arguments of the command that sets the fields of the entry with the ID of e. The command repeats all fields of e, because
// SPIRE's CLI sends no mask, and the SPIRE server resets each field that is not given.
func update(e facts.Entry) []string { return slices.Concat([]string{"entry", "update"}, fields(e)) }

// create are the arguments of the command that creates e.
func create(e facts.Entry) []string { return slices.Concat([]string{"entry", "create"}, fields(e)) }

// remove are the arguments of the command that deletes an entry.
func remove(e facts.Entry) []string { return []string{"entry", "delete", "-entryID", e.ID} }

// fields are the flags of `entry create` and `entry update` of SPIRE 1.15 for an entry. There is a flag for each field that a caller can
// set (cmd/spire-server/cli/entry). If the entry has no ID, the SPIRE server generates an ID.
func fields(e facts.Entry) []string {
	var words []string
	if e.ID != "" {
		words = append(words, "-entryID", e.ID)
	}
	words = append(words, "-parentID", e.ParentID.String(), "-spiffeID", e.SPIFFEID.String())
	for _, s := range e.Selectors {
		words = append(words, "-selector", s.String())
	}
	for _, other := range e.FederatesWith {
		words = append(words, "-federatesWith", "spiffe://"+strings.TrimPrefix(other, "spiffe://"))
	}
	for _, name := range e.DNSNames {
		words = append(words, "-dns", name)
	}
	if e.TTL != 0 {
		words = append(words, "-x509SVIDTTL", strconv.Itoa(e.TTL))
	}
	if e.JWTTTL != 0 {
		words = append(words, "-jwtSVIDTTL", strconv.Itoa(e.JWTTTL))
	}
	if e.Hint != "" {
		words = append(words, "-hint", e.Hint)
	}
	if e.ExpiresAt != 0 {
		words = append(words, "-entryExpiry", strconv.FormatInt(e.ExpiresAt, 10))
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"-storeSVID", e.StoreSVID}, {"-admin", e.Admin}, {"-downstream", e.Downstream},
		{"-disableX509SVIDPrefetch", e.Attributes.DisableX509SVIDPrefetch}, {"-jwtSVIDIncludeJTI", e.Attributes.JWTSVIDIncludeJTI},
	} {
		if flag.set {
			words = append(words, flag.name)
		}
	}
	return words
}

// typed is a command of the SPIRE server's CLI, as a person types it into a shell. The second result is false if a word has an invisible
// character, or if the report hides a part of a word. With such a word, the command would set a field of the entry to a wrong value.
func typed(words []string) (string, bool) {
	text := "docker compose exec spire-server /opt/spire/bin/spire-server"
	for _, word := range words {
		if strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsGraphic(r) }) || hidden(word) {
			return "", false
		}
		text += " " + quoted(word)
	}
	return text, true
}

// hidden tells whether package report has replaced a part of a word: a token, a home folder or the lab's folder.
func hidden(word string) bool {
	return strings.Contains(word, "taken out)") || strings.Contains(word, "~") || strings.Contains(word, ":./")
}

// quoted is a word with the quotes that a POSIX shell needs.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
