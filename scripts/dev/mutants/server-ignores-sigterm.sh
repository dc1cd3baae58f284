# shellcheck shell=bash
# the server does not handle SIGTERM: requests in flight are cut off
replace services/server/main.go 'os.Interrupt, syscall.SIGTERM)' 'os.Interrupt)'
replace services/server/main.go '	"syscall"
' ''
caught_by check programs 'server ended by itself, before Compose would have killed it'
