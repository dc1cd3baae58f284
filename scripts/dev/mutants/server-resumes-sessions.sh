# shellcheck shell=bash
# the server issues session tickets, and does not verify a client that resumes a session
replace services/server/main.go '	tlsConfig.SessionTicketsDisabled = true
' ''
caught_by unit server TestServerVerifiesEveryConnectionAnew 'the session was resumed: the client was not verified'
