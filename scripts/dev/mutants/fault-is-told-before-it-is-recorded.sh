# shellcheck shell=bash
# a solved fault is recorded only after it was told, so `make check | head -1` loses it
replace services/internal/fault/command.go '	// It is recorded before it is told: whoever reads the first line may end this program with the next.
' '	c.Screen.Say("%ssolved:%s", c.Screen.Green, c.Screen.Plain)
'
caught_by unit internal/fault TestRecordedBeforeTold 'the fault is open when it is said to be solved'
