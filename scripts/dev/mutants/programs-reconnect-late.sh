# shellcheck shell=bash
# the programs look for an agent that was away as seldom as gRPC does by default
replace services/internal/identity/identity.go '		workloadapi.WithDialOptions(grpc.WithConnectParams(connectParams)),
' ''
caught_by unit internal/identity TestReconnectionIsNotSlowedDownByGRPC 'times in 2 s, not 4 times or more'
