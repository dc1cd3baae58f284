# shellcheck shell=bash
# a program notices an available identity up to half a minute late
replace services/internal/identity/identity.go 'maxDelay    = 250 * time.Millisecond ' 'maxDelay    = 30 * time.Second '
caught_by unit internal/identity TestBackoffIsCappedBelowASecond 'waits 400ms, not 250ms'
