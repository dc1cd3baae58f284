# shellcheck shell=bash disable=SC2016
# the registration entry of the client has the selector of the server
replace scripts/bootstrap.sh '"$host" unix:user:client-workload' '"$host" unix:user:server-workload'
# Either client-workload lacks this SPIFFE ID, or the server is met under it: whichever shows first.
caught_by scenario happy-path 'spiffe://example.org/client'
