# shellcheck shell=bash
# the client does not say why a request failed
replace services/client/main.go 'fmt.Errorf("Error connecting to %q: %w", cfg.url, plainAlert(err))' 'fmt.Errorf("Error connecting to %q", cfg.url)'
caught_by unit client TestClientRefusesAndIsRefused/refused_by_the_server 'exit status 1, not 4'
caught_by scenario bad-id 'the client says that it was refused: exit status is 1, not 4'
