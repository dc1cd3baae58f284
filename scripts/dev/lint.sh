#!/usr/bin/env bash
# Every check that needs no running lab.
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

failed=0

# check NAME COMMAND...: quiet if it passes.
check() {
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		say "ok   $name"
	else
		say "FAIL $name"
		say "$output" | sed 's/^/  /'
		failed=$((failed + 1))
	fi
}

formatted() {
	local files
	files=$(gofmt -l services scripts/dev/tools scripts/dev/tests)
	[ -z "$files" ] || { say "gofmt would change: $files" && return 1; }
}

# The scripts, by their first line; the library files have none.
shell_scripts() {
	grep -rlE '^#!.*(ba)?sh$' scripts spire .ci --include '*' --exclude-dir tools
	ls scripts/lib/*.sh scripts/dev/{lib,mutants}/*.sh
}

# The lab's modules of Go of its own; the other ones only pin tools.
modules='. scripts/dev/tests scripts/dev/tools/bench scripts/dev/tools/browser'

# in_modules COMMAND...: in each.
in_modules() {
	local module
	for module in $modules; do (cd "$module" && "$@") || return 1; done
}

staticcheck() { go run -modfile "$LAB_DIR/scripts/dev/tools/lint/go.mod" honnef.co/go/tools/cmd/staticcheck ./...; }

shell_clean() {
	shell_scripts | xargs shellcheck
}

# validate server|agent [FOLDER]: by SPIRE itself, which reads the file on its standard input.
validate() {
	local kind=$1 folder=${2:-$1}
	docker run --rm --interactive --network none --entrypoint "/opt/spire/bin/spire-$kind" "spiffe-lab/spire-$kind:$LAB_TAG" \
		validate -expandEnv -config /dev/stdin <"$LAB_DIR/spire/$folder/$kind.conf"
}

one_key_order() {
	# Within a service, the keys stand in this order.
	awk '
		BEGIN { n = split("<< profiles image build command pid user network_mode networks dns dns_opt environment volumes tmpfs attach read_only cap_drop cap_add security_opt depends_on healthcheck restart stop_grace_period", order, " ")
			for (i = 1; i <= n; i++) rank[order[i]] = i }
		FNR == 1 { inside = 0 }
		/^services:/ { inside = 1 } /^(volumes|networks):/ { inside = 0 }
		inside && /^  [a-z]/ { service = $1; last = 0 }
		inside && /^    [a-z<]/ { key = $1; sub(":.*", "", key)
			if (!(key in rank)) { print service " has the key " key ", which has no place in the order"; bad = 1 }
			if (rank[key] < last) { print service " has " key " out of order"; bad = 1 }
			last = rank[key] }
		END { exit bad }' compose.yaml scripts/scenarios/extras.yaml
}

# links_point: each link of the README to a line of a program, [`TEXT`](FILE#LN), points at that text.
links_point() {
	local text file line bad=0 links
	# shellcheck disable=SC2016 # the backquotes are the README's
	links=$(grep -oE '\[`[^`]+`\]\([^)#]+\.go#L[0-9]+\)' README.md)
	# shellcheck disable=SC2016
	while IFS='|' read -r text file line; do
		sed -n "${line}p" "$file" | grep -qF -- "$text" || { say "README.md links $file line $line for \"$text\", which is not there" && bad=1; }
	done < <(sed -E 's/^\[`([^`]+)`\]\((.*)#L([0-9]+)\)$/\1|\2|\3/' <<<"$links")
	[ "$(grep -c . <<<"$links")" -ge 4 ] || { say "README.md does not link the mTLS lines of the two programs" && bad=1; }
	return "$bad"
}

# What only the engine, SPIRE and other commands say, in trouble that no test of the lab makes.
words_of_others='could not find an available, non-overlapping IPv4 address pool|host is unreachable|no children to pick from|--privileged|/exe: permission denied|Admin : true|Downstream : true|Paused|curl -k|name resolver error|server misbehaving|unable to parse trust bundle'

# quotes: what the tables of README.md quote of what one may see; a piece a line.
quotes() {
	# shellcheck disable=SC2016 # the backquotes are the README's
	sed -n '/^## If something goes wrong/,/^## Add a scenario/p' README.md | awk -F '|' '/^\| \[LAB/ {print $3} /^\| `/ {print $2}' |
		grep -o '`[^`]*`' | tr -d '`' | awk '{gsub(" [.][.][.] ", "\n"); print}' | sort -u
}

# quotes_said: each of them is said by a script or a program, or a test awaits it. What the doctor has in
# backquotes is its own copy of the table.
quotes_said() {
	local quote said bad=0
	# shellcheck disable=SC2016
	said=$(grep -rhI '' scripts services spire --exclude '*.md' --exclude lint.sh --exclude-dir cause && cat services/internal/cause/*_test.go && sed 's/`[^`]*`//g' services/internal/cause/*.go)
	while IFS= read -r quote; do
		grep -qF -- "$quote" <<<"$said" || { say "README.md quotes what nobody says: $quote" && bad=1; }
	done < <(quotes | grep -vxE -e "$words_of_others")
	return "$bad"
}

# messages_quoted: what make up ends with has a row there.
messages_quoted() {
	local message quote found bad=0
	# shellcheck disable=SC2016 # two variables of the scripts
	while IFS= read -r message; do
		found=''
		while IFS= read -r quote; do case $message in *"$quote"*) found=1 ;; esac done < <(quotes)
		[ -n "$found" ] || { say "README.md has no row for: $message" && bad=1; }
	done < <(
		sed -nE 's/.*(^|[^a-z_])die "(([^"\\]|\\.)*)".*/\2/p' scripts/dev/images.sh scripts/lib/host.sh | sed 's|\$image|spiffe-lab/|'
		# What begins with a word of its own; what begins with a variable cannot be told from here.
		sed -nE 's/.*Problem\{(Code: lab\.[A-Za-z]*, |lab\.[A-Za-z]*, )?(What: )?(fmt.Sprintf\()?"(([^"\\]|\\.)*)".*/\4/p' services/internal/engine/[a-z]*.go services/internal/launch/*.go | grep -E '[a-z]{3}'
	)
	return "$bad"
}

lessons() { go -C scripts/dev/tests test -run '^TestLessons$' .; }

# other_systems: the program and its tests compile for Windows and macOS: `true` runs each test. What vet finds does not depend on the architecture.
other_systems() {
	local system arch
	for system in windows darwin; do
		for arch in amd64 arm64; do
			GOOS=$system GOARCH=$arch CGO_ENABLED=0 go build -o /dev/null ./services/lab/... ./services/console ./services/internal/... || return 1
			GOOS=$system GOARCH=$arch CGO_ENABLED=0 go test -vet off -exec true ./services/lab/... ./services/console ./services/internal/... || return 1
		done
		GOOS=$system CGO_ENABLED=0 go vet ./services/lab/... ./services/console ./services/internal/... || return 1
	done
}

workflow() { go run -modfile "$LAB_DIR/scripts/dev/tools/lint/go.mod" github.com/rhysd/actionlint/cmd/actionlint; }

cd "$LAB_DIR"
command -v shellcheck >/dev/null 2>&1 || die "shellcheck was not found" "on Debian and Ubuntu: apt-get install shellcheck"
need_go "the programs are to be checked" "run make lint where Go is"
ensure_compose
need_built

check "gofmt" formatted
check "go vet" in_modules go vet ./...
check "go vet of the test of the faults" go vet -tags faults ./services/internal/fault
check "staticcheck" in_modules staticcheck
check "the program on Windows and macOS" other_systems
check "shellcheck" shell_clean
check "every scenario has a lesson" lessons
check "every mutant fits and compiles" scripts/dev/mutants.sh check
check "README links the mTLS lines" links_point
check "README quotes what is said" quotes_said
check "README has a row for what make up ends with" messages_quoted
check "actionlint" workflow
check "docker compose config" compose config --quiet
check "one key order in the Compose files" one_key_order
check "spire-server validate" validate server
check "spire-server validate, partner.test" validate server partner
check "spire-server validate, Kubernetes" validate server kubernetes
check "spire-agent validate" validate agent
check "spire-agent validate, host-b" validate agent host-b
check "spire-agent validate, partner.test" validate agent partner
check "spire-agent validate, Kubernetes" validate agent kubernetes

[ "$failed" -eq 0 ] || die "$failed of the checks failed"
