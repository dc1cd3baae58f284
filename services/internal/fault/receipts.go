package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spiffe-lab/spiffe-lab/services/internal/engine"
	"github.com/spiffe-lab/spiffe-lab/services/internal/progress"
)

// Receipts prints the result records of files in one table. If files is empty, it prints the result records of every lab of this folder.
func (c *Commands) Receipts(files []string) error {
	var all []progress.Result
	var err error
	if len(files) == 0 {
		if all, err = progress.AllResults(c.Place.Dir); err != nil {
			return unreadable(err)
		}
	}
	for _, file := range files {
		some, err := progress.ReadResults(file)
		if err != nil {
			return unreadable(err)
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		c.Screen.Say("there are no result records yet. \"make check\" writes one when a fault is fixed")
		return nil
	}
	slices.SortStableFunc(all, func(a, b progress.Result) int { return strings.Compare(a.Who, b.Who) })
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LEARNER\tFAULT\tFIXED\tCAUSE NAMED\tHINTS\tTIME")
	for _, r := range all {
		fixed, cause := "yes", string(r.Cause)
		if !r.Fixed {
			fixed = "no"
		}
		if r.Cause == progress.Named {
			cause = "at try " + strconv.Itoa(len(r.Answers))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", r.Who, r.Fault, fixed, strings.TrimSuffix(cause, " named"), r.Hints, time.Duration(r.Seconds)*time.Second)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	c.Screen.Say("%s", strings.TrimRight(text.String(), "\n"))
	return nil
}

func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &engine.Problem{What: err.Error(), Remedy: "name a file such as .lab/NAME/results.jsonl. Without a file, the records of every lab in this folder are read"}
	}
	return &engine.Problem{What: err.Error(), Remedy: "the file must have lines like those that \"make check\" writes into .lab/NAME/results.jsonl"}
}
