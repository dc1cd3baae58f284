# shellcheck shell=bash
# any authenticated client may read every existing path
replace services/extras/servers.go '!slices.Contains(readers[r.URL.Path], id)' '!slices.ContainsFunc(readers[r.URL.Path], func(reader spiffeid.ID) bool { return id.MemberOf(reader.TrustDomain()) })'
caught_by unit extras TestPaths 'spiffe://example.org/guest /orders: 200'
caught_by scenario per-path 'the guest is refused /orders: exit status is 0, not 1'
