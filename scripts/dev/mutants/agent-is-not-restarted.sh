# shellcheck shell=bash
# the engine does not restart an agent that has exited
replace compose.yaml '    # The agent reads /proc/PID/exe with this capability, and makes the selectors unix:path and unix:sha256.
' '    restart: "no"
'
caught_by scenario server-wiped "the agent has been restarted, and has read the operator's bundle: not within 60 s"
