//go:build !windows

package screen

import "os"

// understandsEscapes reports whether the terminal understands escape sequences. If TERM is empty, the terminal counts as
// one that does not understand them.
func understandsEscapes(*os.File) bool { return os.Getenv("TERM") != "" }
