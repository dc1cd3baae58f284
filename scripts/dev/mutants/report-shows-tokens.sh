# shellcheck shell=bash
# the report does not take out what looks like a token
# shellcheck disable=SC2016 # the text of the script itself
replace scripts/report.sh '		$0 = hidden($0)
' ''
caught_by check doctor 'the report has planted-token'
