package classroom

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
)

var size = regexp.MustCompile(`^([0-9.]+)([KMGT]i)?B$`)

// mib reads the first size of a text that `docker stats` prints, such as "12.5MiB / 7GiB".
func mib(text string) (float64, error) {
	first, _, _ := strings.Cut(text, " ")
	if found := size.FindStringSubmatch(first); found != nil {
		if n, err := strconv.ParseFloat(found[1], 64); err == nil {
			return n * map[string]float64{"": 1.0 / (1 << 20), "Ki": 1.0 / 1024, "Mi": 1, "Gi": 1024, "Ti": 1 << 20}[found[2]], nil
		}
	}
	return 0, fmt.Errorf("docker stats gave %q, which is no size such as 12.5MiB", text)
}

// measure adds to each lab the memory that its containers use.
func (c *Class) measure(ctx context.Context, labs []Lab) error {
	ids, err := c.Ask(ctx, "ps", "--quiet", "--filter", "name=^"+c.prefix+"-[0-9]+-")
	if err != nil {
		return err
	}
	if ids == "" {
		return nil
	}
	// This does not use Ask, because docker stats for a hundred containers takes longer than the time limit of Ask.
	out, err := c.Docker(ctx, append([]string{"stats", "--no-stream", "--format", "{{json .}}"}, strings.Fields(ids)...)...).Output()
	if err != nil {
		return fmt.Errorf("docker stats: %w", engine.Reason(err))
	}
	return addMemory(labs, string(out))
}

// addMemory reads the lines of docker stats, and adds the memory to each lab.
func addMemory(labs []Lab, said string) error {
	for line := range strings.Lines(said) {
		var container struct{ Name, MemUsage string }
		if err := json.Unmarshal([]byte(line), &container); err != nil {
			return fmt.Errorf("docker stats gave a line that is not JSON: %w", err)
		}
		used, err := mib(container.MemUsage)
		if err != nil {
			return err
		}
		for i := range labs {
			if strings.HasPrefix(container.Name, labs[i].Name+"-") {
				labs[i].MemoryMiB += used
			}
		}
	}
	for i := range labs {
		labs[i].MemoryMiB = math.Round(labs[i].MemoryMiB*10) / 10
	}
	return nil
}

func table(labs []Lab) string {
	width := 0
	for _, l := range labs {
		width = max(width, len(l.Name)+1)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%-*s %11s %12s  %s\n", width, "lab", "ready after", "memory", "result")
	for _, l := range labs {
		fmt.Fprintf(&text, "%-*s %9.2f s %8.1f MiB  %s\n", width, l.Name, l.Ready, l.MemoryMiB, l.Result)
	}
	return text.String()
}
