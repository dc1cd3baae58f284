# shellcheck shell=bash disable=SC2016
# bootstrap keeps the credential of the host, although the SPIRE server has a new CA
replace spire/bootstrap.sh 'spire x509 mint -spiffeID' '[ -e "$credential/svid.pem" ] || spire x509 mint -spiffeID'
caught_by scenario ca-rotation 'the agent attests with its new credential, and trusts the new CA: spire-agent did not log within 20 s: Node attestation was successful'
