# shellcheck shell=bash
# the client gives up after a second without an identity, and ignores -wait
replace services/client/main.go 'cfg.endpoint.Wait(ctx, cfg.wait, logger)' 'cfg.endpoint.Wait(ctx, time.Second, logger)'
replace services/client/main.go '	"syscall"
' '	"syscall"
	"time"
'
caught_by scenario too-quick 'a program that waits gets its SVID, and is served: exit status is 3, not 0'
