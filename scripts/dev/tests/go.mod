module github.com/spiffe-lab/spiffe-lab/scripts/dev/tests

go 1.26.0

require (
	github.com/docker/go-units v0.5.0
	github.com/rogpeppe/go-internal v1.16.0
	gotest.tools/v3 v3.5.2
	mvdan.cc/sh/v3 v3.14.1
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/tools v0.38.0 // indirect
)
