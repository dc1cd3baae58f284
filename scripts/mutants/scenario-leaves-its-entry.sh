# shellcheck shell=bash
# a scenario does not put back what it changed
replace scripts/scenarios/bad-server-id.sh 'restore remove_entry scenario-bad-server-id
' ''
caught_by scenario bad-server-id 'it did not leave the lab as it found it: new: entry: Entry ID: scenario-bad-server-id'
