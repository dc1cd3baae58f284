package screen

import (
	"os"

	"golang.org/x/sys/windows"
)

// understandsEscapes switches on escape sequences, which are off by default in a console of Windows.
// It reports whether this succeeded.
func understandsEscapes(file *os.File) bool {
	handle := windows.Handle(file.Fd())
	var mode uint32
	return windows.GetConsoleMode(handle, &mode) == nil &&
		windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
