# shellcheck shell=bash
# the server reads a request without a time limit
replace services/server/limits.go '	server.ReadTimeout = cfg.readTimeout
' ''
caught_by unit server TestHostilePeersDoNotStopTheServer/slow_headers 'the server did not close the connection'
