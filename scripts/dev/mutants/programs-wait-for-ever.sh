# shellcheck shell=bash
# the programs wait for the first SVID without a limit
replace services/internal/identity/identity.go 'context.WithTimeout(ctx, limit)' 'context.WithCancel(ctx)'
caught_by unit internal/identity TestWaitIsReportedAndBounded 'did not give up'
caught_by scenario unregistered 's: docker compose exec --user guest-workload client client -wait 1s'
