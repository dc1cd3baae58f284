# shellcheck shell=bash
# the SPIRE server's configuration makes a SPIFFE ID an admin (admin_ids), even without an admin entry
replace spire/server/server.conf '    log_level    = "INFO"
' '    log_level    = "INFO"
    admin_ids    = ["spiffe://example.org/ops"]
'
caught_by scenario admin-entry 'the SPIRE server refuses the call: '
