# shellcheck shell=bash disable=SC2016
# bootstrap restores an entry that a learner has changed
replace spire/bootstrap.sh 'differs entry update -entryID "$1"' 'spire entry update -entryID "$1"'
caught_by check bootstrap "The entry client differs from the lab's entry"
