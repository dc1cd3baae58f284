package engine

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
)

// Settings are the names of the variables in .env. If the environment has a variable with the same name, its value replaces the value in
// .env, as in Compose.
var Settings = []string{"SPIRE_VERSION", "SPIRE_REGISTRY", "GO_IMAGE", "TOOLS_BASE_IMAGE", "LAB_TAG"}

// readSettings reads .env as Compose reads it.
func readSettings(file string, getenv func(string) string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Problem{What: "the lab's folder has no file .env", Remedy: "git checkout -- .env"}
	}
	if err != nil {
		return nil, &Problem{What: ".env cannot be read: " + err.Error(), Remedy: "make it readable for your user"}
	}
	settings, err := dotenv.ParseWithLookup(strings.NewReader(string(text)), func(name string) (string, bool) {
		value := getenv(name)
		return value, value != ""
	})
	if err != nil {
		return nil, &Problem{What: strings.Replace(".env: "+err.Error(), ".env: line ", ".env line ", 1), Remedy: "\"git diff .env\" shows what was changed"}
	}
	return settings, nil
}

// override replaces settings of .env by settings of the environment. It returns a sentence for each setting that differs, except LAB_TAG.
func override(settings map[string]string, getenv func(string) string) ([]string, error) {
	var differ []string
	for _, name := range Settings {
		value := getenv(name)
		if value != "" && value != settings[name] && name != "LAB_TAG" {
			differ = append(differ, name+" is "+value+": your environment sets it, and .env has "+settings[name])
		}
		if value != "" {
			settings[name] = value
		}
		if settings[name] == "" {
			return nil, &Problem{What: ".env does not set " + name, Remedy: "\"git diff .env\" shows what was changed"}
		}
	}
	return differ, nil
}

// steering matches variables that would steer docker, Compose and BuildKit from outside. The variables that select an engine
// (DOCKER_HOST, DOCKER_CONTEXT) do not match.
var steering = regexp.MustCompile(`^(COMPOSE_.*|BUILDX_.*|BUILDKIT_.*|DOCKER_BUILDKIT|DOCKER_DEFAULT_PLATFORM|DOCKER_API_VERSION|LAB_DNS|AGENT_TTL|CACHE_RELOAD_INTERVAL|SYNC_INTERVAL|SPIRE_SERVER_DISK|CDPATH)$`)

// environment returns the environment of docker and docker compose. It leaves out variables that would change how these programs work, and
// empty variables that would hide a setting in .env.
func environment(environ []string, settings map[string]string) []string {
	var kept []string
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if _, ours := settings[name]; ours && value == "" {
			continue
		}
		if steering.MatchString(name) && name != "COMPOSE_PROJECT_NAME" {
			continue
		}
		kept = append(kept, variable)
	}
	return kept
}
