# shellcheck shell=bash
# a container for scenarios has capabilities
replace scripts/scenarios/extras.yaml '    # Files that a scenario creates or fetches, keys included, are deleted together with the container.
' '    cap_add: [NET_ADMIN]
'
caught_by check least-privilege 'tools has a privilege that it does not need, added capabilities: [NET_ADMIN]'
