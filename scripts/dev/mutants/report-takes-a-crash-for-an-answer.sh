# shellcheck shell=bash
# the report takes what a docker command prints that crashes for the answer to its question
replace services/internal/report/gather.go 'case failure != "":' 'case failure == "never":'
caught_by unit internal/report TestGather 'a limit of processes'
