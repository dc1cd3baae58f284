# shellcheck shell=bash
# the client does not count failed requests
replace services/client/loop.go '			failed++
' ''
caught_by unit client TestLoopAccountsForEveryRequest '0 requests sent: 0 served, 0 failed'
caught_by scenario revocation "the traffic's account"
