//go:build !windows

package screen

import "os"

// understandsEscapes reports whether the environment says which terminal this is: one that is not named understands nothing.
func understandsEscapes(*os.File) bool { return os.Getenv("TERM") != "" }
