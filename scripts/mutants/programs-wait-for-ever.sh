# shellcheck shell=bash
# the programs wait for the first SVID without a deadline
replace services/internal/identity/identity.go 'context.WithTimeout(ctx, limit)' 'context.WithCancel(ctx)'
caught_by unit internal/identity TestWaitIsReportedAndBounded 'did not give up'
caught_by check programs 'did not end within'
