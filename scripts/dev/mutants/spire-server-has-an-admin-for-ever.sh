# shellcheck shell=bash
# the SPIRE server's configuration makes a SPIFFE ID an admin, whatever its entry says
replace spire/server/server.conf '    log_level    = "INFO"
' '    log_level    = "INFO"
    admin_ids    = ["spiffe://example.org/ops"]
'
caught_by scenario admin-entry 'the SPIRE server refuses it: '
