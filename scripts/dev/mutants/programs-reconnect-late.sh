# shellcheck shell=bash
# after an outage of the agent, the programs reconnect as slowly as gRPC does by default
replace services/internal/identity/identity.go '		workloadapi.WithDialOptions(grpc.WithConnectParams(connectParams)),
' ''
caught_by unit internal/identity TestReconnectionIsNotSlowedDownByGRPC 'times in 2 s, not 4 times or more'
