# shellcheck shell=bash
# the server reads a request's body to its end, without a limit on its size
replace services/server/limits.go 'http.MaxBytesReader(w, r.Body, maxBody)' 'r.Body'
caught_by unit server TestServerLimitsTheBody 'a body of 11 bytes got 200, not 413'
