# shellcheck shell=bash
# the grader takes a difference of the learner's own for that of the fault, because both are of one kind
replace services/internal/grade/grade.go 'if slices.Contains(cause, d) {' 'if slices.ContainsFunc(cause, func(b Difference) bool { return b.Kind == d.Kind && b.Subject == d.Subject }) {'
caught_by unit internal/grade TestJudge/other_files_than_those_of_the_fault 'what can be seen from here is right, and yet the lab is not as it was before'
