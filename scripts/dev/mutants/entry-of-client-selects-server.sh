# shellcheck shell=bash disable=SC2016
# the registration entry of the client has the selector of the server
replace spire/bootstrap.sh '"$host" unix:user:client-workload' '"$host" unix:user:server-workload'
# So client-workload has no entry. The suite says what a learner would be told.
caught_by scenario happy-path 'LAB067: the entry of client requires unix:user:server-workload, which client does not have'
