# shellcheck shell=bash disable=SC2016
# bootstrap leaves the credential of the host as it is, though the CA behind it is another
replace spire/bootstrap.sh 'spire x509 mint -spiffeID' '[ -e "$credential/svid.pem" ] || spire x509 mint -spiffeID'
caught_by scenario ca-rotation 'it attests with its new credential, and trusts the new CA: spire-agent did not log: Node attestation was successful'
