module github.com/spiffe-lab/spiffe-lab/scripts/dev/tools/shell

go 1.26.0

tool (
	github.com/u-root/u-root/cmds/core/sleep
	mvdan.cc/sh/v3/cmd/gosh
)

require (
	github.com/u-root/u-root v0.16.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/term v0.45.0 // indirect
	mvdan.cc/sh/v3 v3.14.1 // indirect
)
