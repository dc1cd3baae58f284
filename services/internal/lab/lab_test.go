package lab

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// under returns the keys below a top-level key of a Compose file.
func under(text, key string) []string {
	_, after, _ := strings.Cut(text, "\n"+key+":\n")
	if next := regexp.MustCompile(`(?m)^[a-z]`).FindStringIndex(after); next != nil {
		after = after[:next[0]]
	}
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^  ([a-z][a-z-]*):`).FindAllStringSubmatch(after, -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return names
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// TestComposeFiles: the names in this package must be those in the Compose files.
func TestComposeFiles(t *testing.T) {
	compose, extras := read(t, "compose.yaml"), read(t, "scripts/scenarios/extras.yaml")
	if got := under(compose, "services"); !slices.Equal(got, sorted(Services)) {
		t.Errorf("compose.yaml has the services %q, and the package %q", got, Services)
	}
	if got := under(extras, "services"); !slices.Equal(got, sorted(Extras)) {
		t.Errorf("extras.yaml has the services %q, and the package %q", got, Extras)
	}
	volumes := append(under(compose, "volumes"), under(extras, "volumes")...)
	slices.Sort(volumes)
	if got := slices.Compact(volumes); !slices.Equal(got, sorted(Volumes)) {
		t.Errorf("the Compose files have the volumes %q, and the package %q", got, Volumes)
	}
	for _, image := range append(slices.Clone(Images), Tools) {
		if !strings.Contains(compose+extras, "image: "+ImagePrefix+image+":${LAB_TAG}\n") {
			t.Errorf("no service has the image %s", image)
		}
	}
	if !strings.Contains(compose, "\nname: "+Project+"\n") {
		t.Errorf("compose.yaml does not have the project's name %s", Project)
	}
	if !strings.Contains(compose, HealthURL) {
		t.Errorf("compose.yaml does not ask %s", HealthURL)
	}
}

// TestRegistration: the SPIFFE IDs and users in this package must be those in bootstrap and in the host's user database.
func TestRegistration(t *testing.T) {
	bootstrap, passwd := read(t, "spire/bootstrap.sh"), read(t, "spire/host/passwd")
	for _, text := range []string{AgentID, HostID, ServerID, ClientID, "unix:user:" + ServerUser, "unix:user:" + ClientUser} {
		if !strings.Contains(bootstrap, text) {
			t.Errorf("bootstrap.sh does not have %s", text)
		}
	}
	for _, user := range []string{ServerUser, ClientUser, GuestUser} {
		if !strings.Contains("\n"+passwd, "\n"+user+":") {
			t.Errorf("spire/host/passwd does not have the user %s", user)
		}
	}
}
