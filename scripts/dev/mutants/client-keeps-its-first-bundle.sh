# shellcheck shell=bash
# the client verifies with the trust bundle from its start, and ignores newer ones
replace services/client/main.go '	client := newClient(cfg, source, source)
' '	first, err := source.GetX509BundleForTrustDomain(cfg.serverID.TrustDomain())
	if err != nil {
		return err
	}
	client := newClient(cfg, source, first.Clone())
'
caught_by scenario ca-rotation 'the CA was replaced without a failed request'
