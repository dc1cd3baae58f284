package engine

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
)

// crashes are what a docker command prints that did not get to its work: of Go's runtime, of the shell, and of runc, which starts a
// process in a container.
var crashes = regexp.MustCompile(`(?im)^(fatal error: |panic: |runtime: |runtime/cgo: |SIGSEGV|Segmentation fault|.*(failed to create new OS thread|pthread_create failed|fork/exec |fork: |OCI runtime exec failed|Resource temporarily unavailable|Cannot allocate memory|too many open files|\(core dumped\)))`)

// Failure returns why a docker command failed that did not get to an answer, because of a limit of processes, for instance, or because it
// crashed; and nothing if what it printed and its exit status are an answer. inside tells that it is `docker exec`: then the answer is
// that of the program in the container, and an error of the engine is none.
func Failure(err error, stderr string, inside bool) string {
	if err == nil || errors.Is(err, exec.ErrNotFound) {
		return ""
	}
	if line := crashes.FindString(stderr); line != "" {
		whole, _, _ := strings.Cut(stderr[strings.Index(stderr, line):], "\n")
		return strings.TrimSpace(whole)
	}
	var exit *exec.ExitError
	switch {
	case !errors.As(err, &exit):
		return err.Error()
	case exit.ExitCode() < 0 || exit.ExitCode() > 124: // a signal, or what a shell makes of one
		if line := LastLine(stderr); line != "" {
			return line + " (" + exit.Error() + ")"
		}
		return exit.Error()
	case inside && strings.HasPrefix(stderr, "Error response from daemon: "):
		return LastLine(stderr)
	}
	return ""
}
