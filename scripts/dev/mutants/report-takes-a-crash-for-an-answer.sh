# shellcheck shell=bash
# the report treats the output of a crashed docker command as the answer to its question
replace services/internal/report/gather.go 'case failure != "":' 'case failure == "never":'
caught_by unit internal/report TestGather 'a limit of processes'
