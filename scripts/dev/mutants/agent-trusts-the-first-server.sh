# shellcheck shell=bash
# the agent does not verify the SPIRE server on its first connection (insecure_bootstrap)
replace spire/agent/agent.conf 'trust_bundle_path = "/run/host-credential/bundle.pem"' 'insecure_bootstrap = true'
# SPIRE does not allow insecure_bootstrap together with rebootstrap_mode "auto".
replace spire/agent/agent.conf 'rebootstrap_mode  = "auto"' 'rebootstrap_mode = "never"'
caught_by check least-privilege 'Insecure bootstrap enabled; skipping server certificate verification'
