# shellcheck shell=bash
# the server checks the age of a connection only after a request: an idle connection stays open, and gets one more answer
replace services/server/limits.go 'time.AfterFunc(maxAge,' 'time.AfterFunc(time.Hour,'
replace services/server/limits.go 'a.timer.Reset(left)' 'a.timer.Reset(time.Hour)'
caught_by unit server TestServerClosesAConnectionAtItsAge/that_is_idle 'want nothing but its end, after 1s'
