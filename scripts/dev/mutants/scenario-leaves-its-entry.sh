# shellcheck shell=bash
# what a scenario has made is not removed
# shellcheck disable=SC2016 # it is the text of a script
replace scripts/lib/scenario/tidy.sh '		server_cli entry delete -entryID "$entry" >/dev/null || return 1
' '		:
'
caught_by scenario bad-server-id 'it did not leave the lab as it found it: new: entry: Entry ID: scenario-bad-server-id'
