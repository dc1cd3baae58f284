# shellcheck shell=bash
# the entry update that the doctor proposes does not repeat the entry's hint, so the SPIRE server resets it
replace services/internal/cause/command.go 'if e.Hint != ""' 'if e.Hint == ""'
caught_by unit internal/cause TestRemedies/LAB065_a_wrong_parent 'got  {ID:client'
