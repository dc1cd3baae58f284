# shellcheck shell=bash
# a scenario does not remove the entry that it has created
replace services/internal/scenario/steps.go 'r.serverCLI(ctx, io.Discard, "entry", "delete", "-entryID", found[1])' 'r.serverCLI(ctx, io.Discard, "entry", "show", "-entryID", found[1])'
caught_by scenario bad-server-id 'it did not leave the lab as it found it: new: entry: Entry ID: scenario-bad-server-id'
