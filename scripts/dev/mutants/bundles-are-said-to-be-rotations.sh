# shellcheck shell=bash
# a change of the trust bundle is logged as a rotation of the SVID
replace services/internal/identity/identity.go 'err != nil || Serial(next) == Serial(current)' 'err != nil'
caught_by unit internal/identity TestRotationIsLoggedOnceAndABundleIsNone 'logged'
