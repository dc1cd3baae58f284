# shellcheck shell=bash
# the client does not verify the server, but continues with a warning
replace services/client/refusal.go 'return &refusal{err}' 'log.Printf("warning: %v", err)'
replace services/client/refusal.go '	"errors"
' '	"errors"
	"log"
'
caught_by unit client TestClientRefusesAndIsRefused/the_right_ID_under_another_CA 'exit status 0, not 4'
caught_by scenario foreign-server-ca 'the client refuses the impostor: exit status is 0, not 4'
