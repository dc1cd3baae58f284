# shellcheck shell=bash
# if the report from before the fault lacks the trust bundle, the grader treats every CA of the bundle as new
replace services/internal/grade/grade.go 'if c.kept.Section("bundle").OK() {' 'if c.kept != nil {'
caught_by unit internal/grade TestEmptyBefore 'a report before without bundle'
