# shellcheck shell=bash
# the server gives a request all the time it takes
replace services/server/limits.go '	server.ReadTimeout = cfg.readTimeout
' ''
caught_by unit server TestHostilePeersDoNotStopTheServer/slow_headers 'the server did not close the connection'
