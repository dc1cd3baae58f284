# shellcheck shell=bash
# the grader attributes a learner's change to the fault, because both changes have the same kind
replace services/internal/grade/grade.go 'if slices.Contains(cause, d) {' 'if slices.ContainsFunc(cause, func(b Difference) bool { return b.Kind == d.Kind && b.Subject == d.Subject }) {'
caught_by unit internal/grade TestJudge/other_files_than_those_of_the_fault 'the container client still differs from before the fault'
