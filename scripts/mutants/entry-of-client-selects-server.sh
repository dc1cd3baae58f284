# shellcheck shell=bash disable=SC2016
# the registration entry of the client has the selector of the server
replace scripts/bootstrap.sh '"$host" unix:user:client-workload' '"$host" unix:user:server-workload'
caught_by scenario happy-path 'the output lacks'
