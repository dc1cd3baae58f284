# shellcheck shell=bash
# the doctor finds nothing when the server accepts every SPIFFE ID of the trust domain
replace services/internal/cause/open.go 'r.WithSVID && r.Status == 200 && len(t.SVIDs) > 0 && t.SVIDs[0].ID != lab.ClientID' 'r.WithSVID && r.Status == 200 && len(t.SVIDs) > 0 && t.SVIDs[0].ID == lab.ClientID'
caught_by unit internal/cause TestCodes/LAB113_the_whole_trust_domain 'no finding, want LAB113'
