# shellcheck shell=bash
# the server does not handle SIGTERM, so requests in progress are cut off
replace services/server/main.go 'os.Interrupt, syscall.SIGTERM)' 'os.Interrupt)'
replace services/server/main.go '	"syscall"
' ''
caught_by check programs 'server did not exit before Compose killed it'
