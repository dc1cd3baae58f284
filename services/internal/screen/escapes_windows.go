package screen

import (
	"os"

	"golang.org/x/sys/windows"
)

// understandsEscapes switches on the escape sequences that a console of Windows knows but does not expect.
func understandsEscapes(file *os.File) bool {
	handle := windows.Handle(file.Fd())
	var mode uint32
	return windows.GetConsoleMode(handle, &mode) == nil &&
		windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
