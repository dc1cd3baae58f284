# shellcheck shell=bash
# a container of the scenarios has capabilities
replace scripts/scenarios/extras.yaml '    # What a scenario makes or fetches, keys too, is gone with the container.
' '    cap_add: [NET_ADMIN]
'
caught_by check least-privilege 'tools has a privilege that it does not need, added capabilities: [NET_ADMIN]'
