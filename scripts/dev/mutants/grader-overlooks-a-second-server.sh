# shellcheck shell=bash
# the grader treats every process of a container's program as the container's own process
replace services/internal/grade/beside.go 'if !first[p.Container] && container != nil' 'if container != nil'
caught_by unit internal/grade TestBeside/a_second_server_with_the_command_of_the_first "a second server process runs beside the process of the lab"
