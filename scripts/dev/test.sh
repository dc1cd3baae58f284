#!/usr/bin/env bash
# The one test command: scripts/dev/tests/main.go says what it runs, and what ONLY, FULL and LABS do.
set -euo pipefail
cd "$(dirname "$0")/tests"
mkdir -p ../../../.cache/bin
go build -o ../../../.cache/bin/tests .
exec ../../../.cache/bin/tests "$@"
