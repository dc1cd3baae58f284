package engine

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
)

// crashes matches the output of a docker command that failed before its work: an error of Go's runtime, of the shell, or of runc, which
// starts a process in a container.
var crashes = regexp.MustCompile(`(?im)^(fatal error: |panic: |runtime: |runtime/cgo: |SIGSEGV|Segmentation fault|.*(failed to create new OS thread|pthread_create failed|fork/exec |fork: |OCI runtime exec failed|Resource temporarily unavailable|Cannot allocate memory|too many open files|\(core dumped\)))`)

// Failure returns the reason why a docker command failed before it had an answer, for instance by a crash or a limit of processes. If the
// output and the exit status are an answer, Failure returns an empty text. The parameter inside is true for `docker exec`. Then an error of
// the engine is not an answer, because only the program in the container can answer.
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
	case exit.ExitCode() < 0 || exit.ExitCode() > 124: // a signal, or the status that a shell reports for a signal
		if line := LastLine(stderr); line != "" {
			return line + " (" + exit.Error() + ")"
		}
		return exit.Error()
	case inside && strings.HasPrefix(stderr, "Error response from daemon: "):
		return LastLine(stderr)
	}
	return ""
}
