#!/usr/bin/env bash
# The test command. scripts/dev/tests/main.go describes what it runs, and the variables ONLY, FULL and LABS.
set -euo pipefail
cd "$(dirname "$0")/tests"
mkdir -p ../../../.cache/bin
go build -o ../../../.cache/bin/tests .
exec ../../../.cache/bin/tests "$@"
