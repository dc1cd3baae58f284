# shellcheck shell=bash
# the grader records a solved fault only after it has printed the verdict, so `make check | head -1` loses the record
replace services/internal/fault/check.go '	// The result is recorded before it is printed, because a reader such as head may end this program after the first line.
' '	c.Screen.Say("%sfixed:%s", c.Screen.Green, c.Screen.Plain)
'
caught_by unit internal/fault TestRecordedBeforeTold 'the fault is open when it is said to be solved'
