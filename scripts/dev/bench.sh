#!/usr/bin/env bash
# Measures the lab on this machine, in separate labs that are removed at the end. QUICK=1 makes few and short runs,
# which show that measuring works, not how fast the lab is. ONLY="start path" measures only these parts.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

parts='start footprint propagation path classroom'
results=${BENCH_OUT:-$CACHE_DIR/bench}

wanted=${ONLY:-$parts}
for part in $wanted; do
	case " $parts " in
	*" $part "*) ;;
	*) die "ONLY names \"$part\", which is not a part of the measurement" "the parts are: $parts" ;;
	esac
done
if [ -n "${QUICK:-}" ]; then series='1 2'; else series='1 5 10 20'; fi

need_go "the lab is to be measured" "run make bench where Go is"
ensure_compose
need_built
lock bench 0 "another make bench is running"

project=${COMPOSE_PROJECT_NAME:-spiffe-lab}-bench
BENCH_SERVICES=$(compose config --services | LC_ALL=C sort)
export COMPOSE_PROJECT_NAME=$project BENCH_COMPOSE=$COMPOSE BENCH_OUT=$results LAB_TAG BENCH_SERVICES
export WORKLOAD_IMAGE=spiffe-lab/workload:$LAB_TAG QUICK=${QUICK:-}

# build_tool: builds the measuring tool for this machine, and also for the engine's architecture.
build_tool() {
	local arch
	arch=$(docker version --format '{{.Server.Arch}}')
	mkdir -p "$CACHE_DIR/bin" "$CACHE_DIR/bench-image"
	(
		cd "$LAB_DIR/scripts/dev/tools/bench" && export CGO_ENABLED=0
		go build -trimpath -ldflags '-s -w' -o "$CACHE_DIR/bin/bench" . &&
			GOOS=linux GOARCH=$arch go build -trimpath -ldflags '-s -w' -o "$CACHE_DIR/bench-image/bench" .
	) || die "the tool that measures could not be built from its Go module" "does this machine reach a Go module mirror? (cd scripts/dev/tools/bench && go mod download)"
}

cleanup() {
	local status=$?
	trap '' INT TERM
	trap - EXIT
	"$LAB_DIR/scripts/lab" classroom-down >/dev/null 2>&1 || true
	compose --profile '*' down --volumes --remove-orphans >/dev/null 2>&1 || true
	docker image rm "spiffe-lab/bench:$LAB_TAG" >/dev/null 2>&1 || true
	unlock bench
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Other load of the machine affects every figure, so the report shows this load.
load=$(load_average)
others=$(docker ps --quiet | wc -l)
export BENCH_LOAD="$load, $((others)) other containers"
if [ "$((others))" -gt 0 ]; then
	say "$((others)) other containers run on this machine, and affect the figures"
fi

[ -x "$CACHE_DIR/bin/bench" ] || say "building the tool that measures: about a minute, once"
build_tool
mkdir -p "$results"
cd "$LAB_DIR"
[ ! -f "$results/results.json" ] || mv "$results/results.json" "$results/previous.json"

for part in $wanted; do
	say "${bold}$part${plain}"
	if [ "$part" = classroom ]; then
		rm -f "$results"/classroom-*.json
		for n in $series; do
			scripts/lab classroom "$n" --results "$results" | sed 's/^/  /'
			scripts/lab classroom-down >/dev/null
		done
	else
		"$CACHE_DIR/bin/bench" "$part"
	fi
done
"$CACHE_DIR/bin/bench" report
