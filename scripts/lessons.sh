#!/usr/bin/env bash
# Keeps the lessons true: lessons.sh NAME OUTPUT compares what the lesson of a scenario quotes
# with what the scenario has printed; lessons.sh alone sees that every scenario has one, whole.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

folder=$LAB_DIR/scripts/scenarios
parts='What you will see|What it prints|Why|Without this check|A question|Try it'

# plain_lines: what differs from run to run is taken out, and the indentation.
plain_lines() {
	sed -E \
		-e 's/([0-9]{1,3}\.){3}[0-9]{1,3}(:[0-9]+)?/ADDR/g' \
		-e 's/[0-9]{4}[-\/][0-9]{2}[-\/][0-9]{2}[T ][0-9:]{8}(Z| \+0000 UTC)?/TIME/g' \
		-e 's/[A-Z][a-z]{2} +[0-9]+ [0-9:]{8} [0-9]{4} GMT/TIME/g' \
		-e 's/([0-9A-Fa-f]{2}:){7,}[0-9A-Fa-f]{2}/HEX/g' \
		-e 's/[0-9A-Fa-f]{20,}/HEX/g' \
		-e 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g' \
		-e 's/[0-9]+(\.[0-9]+)?/N/g' \
		-e 's/[[:space:]]+/ /g; s/^ //; s/ $//'
}

# quoted_lines LESSON: the lines between ```console and ```; what begins with "..." is left out,
# or told only while a wait lasts.
quoted_lines() { awk '/^```console$/ {on = 1; next} /^```/ {on = 0} on && NF && $0 !~ /^ *\.\.\./' "$1"; }

check_parts() {
	local file=$1 part bad=0
	if [ ! -f "$file" ]; then
		say "there is no $file"
		return 1
	fi
	while read -r part; do
		grep -qx "## $part" "$file" || { say "$file has no part \"## $part\"" && bad=1; }
	done < <(tr '|' '\n' <<<"$parts")
	[ -n "$(quoted_lines "$file")" ] || { say "$file quotes no output (a block that begins with \`\`\`console)" && bad=1; }
	return "$bad"
}

check_quotes() {
	local file=$1 printed line bad=0
	printed=$(plain_lines <"$2")
	while IFS= read -r line; do
		grep -qFx -- "$(plain_lines <<<"$line")" <<<"$printed" || { say "$file quotes what the scenario does not print: $line" && bad=1; }
	done < <(quoted_lines "$file")
	return "$bad"
}

if [ $# -eq 2 ]; then
	check_quotes "$folder/$1.md" "$2"
	exit
fi
bad=0
for scenario in "$folder"/*.sh; do
	check_parts "${scenario%.sh}.md" || bad=1
	name=${scenario##*/} name=${name%.sh}
	row="| [$name](scripts/scenarios/$name.md) | $(sed -n '2s/^# //p' "$scenario") |"
	grep -qFx -- "$row" "$LAB_DIR/README.md" || { say "README.md lacks this row: $row" && bad=1; }
done
exit "$bad"
