# shellcheck shell=bash
# an agent that ends is not started again
replace compose.yaml '    # Reading /proc/PID/exe of a workload, for unix:path and unix:sha256.
' '    restart: "no"
'
caught_by scenario server-wiped 'it has been started again, and has read that bundle: not within 60 s'
