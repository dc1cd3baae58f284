# shellcheck shell=bash
# the client verifies with the trust bundle that it had at its start, and no newer one
replace services/client/main.go '	client := newClient(cfg, source, source)
' '	first, err := source.GetX509BundleForTrustDomain(cfg.serverID.TrustDomain())
	if err != nil {
		return err
	}
	client := newClient(cfg, source, first.Clone())
'
caught_by scenario ca-rotation 'the CA was replaced, and nobody noticed'
