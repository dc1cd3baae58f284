# shellcheck shell=bash
# the server keeps every connection open, and ignores -max-connection-age
replace services/server/limits.go '	limitAge(server, cfg.maxAge, logger)
' ''
caught_by unit server TestServerClosesAConnectionAtItsAge/that_is_idle 'want nothing but its end, after 1s'
caught_by scenario kept-connection 'the server closes the connection'
