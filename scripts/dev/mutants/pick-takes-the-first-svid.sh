# shellcheck shell=bash
# a program that picks by hint uses the first SVID if none has the hint
replace services/extras/pick.go '		return nil
	}
}' '		return svids[0]
	}
}'
caught_by scenario two-identities 'its error message says that no SVID matches: the output lacks: missing X509-SVID'
