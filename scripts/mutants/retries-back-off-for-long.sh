# shellcheck shell=bash
# an identity that is there is noticed up to half a minute late
replace services/internal/identity/identity.go 'longest     = time.Second ' 'longest     = 30 * time.Second '
caught_by unit internal/identity TestBackoffIsCappedAtOneSecond 'waits 1.6s, not 1s'
