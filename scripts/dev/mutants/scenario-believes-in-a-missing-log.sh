# shellcheck shell=bash
# a scenario treats a log that does not exist as an empty log
replace services/internal/scenario/logs.go '	if err != nil {
		return failf("%s: the log of %s cannot be read: %v", why, service, err)
	}
	if len(found) > 0 {' '	if err == nil && len(found) > 0 {'
caught_by unit internal/scenario TestHelpers/expect_no_log_without_a_log 'passed is true, want false'
