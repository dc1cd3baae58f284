# shellcheck shell=bash
# the report does not take out what follows a name such as token or password
# shellcheck disable=SC2016 # the text of the program itself
replace services/internal/report/redact.go 'done.WriteString(opening + takenOut + closing)' 'done.WriteString(line[rest : rest+length])'
caught_by unit internal/report TestSecrets 'a password: "passphrase='
