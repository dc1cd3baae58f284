# shellcheck shell=bash disable=SC2016
# the registration entry for the client has the selector of the server
replace spire/bootstrap.sh '"$host" unix:user:client-workload' '"$host" unix:user:server-workload'
# So client-workload has no entry. The output of the test has the doctor's finding, as a learner would see it.
caught_by scenario happy-path 'LAB067: the entry for client requires unix:user:server-workload, which client does not have'
