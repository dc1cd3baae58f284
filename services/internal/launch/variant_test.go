package launch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVariants: an existing image must not be built again. Compose must build a missing image. If this fails, the error must say why.
func TestVariants(t *testing.T) {
	const none = "image inspect => 1 No such image\n"
	for _, c := range []struct{ name, rules, old, want string }{
		{"it is here", "image inspect => 0 sha256:1\n", "one", ""},
		{"it is built", none + "build --quiet => 0\n", "one", ""},
		{"it cannot be built", none + "build --quiet => 1 no network\n", "one", "cannot be built: no network"},
		{"the source has changed", none, "never", "services/server/main.go does not have: never"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, _ := fake(t, c.rules+quiet)
			ctx := context.Background()
			if err := errors.Join(l.Need(ctx), os.MkdirAll(filepath.Join(l.Dir, "services", "server"), 0o755)); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"go.mod": "module x\n", "go.sum": "", "services/server/main.go": "one\r\ntwo\r\n"} {
				write(t, l, name, text)
			}
			said := func(err error) string {
				if err == nil {
					return ""
				}
				return err.Error()
			}
			if got := said(l.ServerVariant(ctx, "spiffe-lab/workload:x", c.old, "three")); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
				t.Errorf("ServerVariant: %q, want %q", got, c.want)
			}
			if c.old == "never" {
				return
			}
			if got := said(l.ImageWithFile(ctx, "spiffe-lab/workload:x", "spiffe-lab/workload:local", "/file", 0o644, []byte("x"))); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
				t.Errorf("ImageWithFile: %q, want %q", got, c.want)
			}
		})
	}
}
