# shellcheck shell=bash
# the rule for a part of the trust domain compares text, not whole path segments
replace services/extras/servers.go 'return tlsconfig.AuthorizeIDPrefix(allowed)' 'return tlsconfig.AdaptMatcher(func(id spiffeid.ID) error {
		if !strings.HasPrefix(id.String(), allowed.String()) {
			return fmt.Errorf("unexpected ID %q", id)
		}
		return nil
	})'
replace services/extras/servers.go '	"flag"
	"io"
' '	"flag"
	"fmt"
	"io"
'
replace services/extras/servers.go '	"slices"
' '	"slices"
	"strings"
'
caught_by scenario prefix 'the process of user 4242 is refused: exit status is 0, not 4'
