# shellcheck shell=bash
# the client waits for an answer without a limit
replace services/client/main.go '		Timeout: cfg.timeout,
' ''
caught_by unit client TestClientDoesNotWaitForEver 'of a server that never answers: '
