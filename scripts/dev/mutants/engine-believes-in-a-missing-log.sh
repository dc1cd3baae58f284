# shellcheck shell=bash
# a log that is not there has no line that could speak against anything
# shellcheck disable=SC2016 # it is the text of a script
replace scripts/lib/scenario/log.sh '	lines=$(new_lines "$1" 2>&1) || fail "$3: the log of $1 cannot be read: $lines"
' '	lines=$(new_lines "$1" 2>/dev/null) || true
'
caught_by check helpers 'expect_no_log without a log does not fail'
