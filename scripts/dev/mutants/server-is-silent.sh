# shellcheck shell=bash
# the server does not log a refusal
replace services/server/main.go 'ErrorLog:  logger,' 'ErrorLog:  log.New(io.Discard, "", 0),'
caught_by unit server TestServerRefuses/another_SPIFFE_ID_of_the_trust_domain 'the server did not log "unexpected ID'
caught_by scenario bad-id 'the server refused, and logs the SPIFFE ID that it saw: server did not log'
