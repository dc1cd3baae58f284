#!/usr/bin/env bash
# Keeps the lessons true. lessons.sh LESSON OUTPUT compares what a lesson quotes, or any file that
# ends in .md, with what was printed. lessons.sh FILE checks that this lesson is whole, and that its
# sources are pinned. lessons.sh alone checks that of every scenario's lesson, that each is answered,
# and that they make one course, in the README's order.
set -euo pipefail
# shellcheck source=../lib/host.sh
. "$(dirname "$0")/../lib/host.sh"

folder=$LAB_DIR/scripts/scenarios
parts='What you will see|What it prints|Why|Without this check|A question|Try it'
words=400
# A tag or a commit, or an RFC, which never changes: what a branch says today it may not say tomorrow.
pinned='https://(github\.com/[^/ ]+/[^/ ]+/blob/([0-9a-f]{40}|[a-z-]*[0-9]+([._][0-9]+)+)/|www\.rfc-editor\.org/rfc/rfc[0-9]+)[^ )]*'
go_spiffe=$(sed -nE 's|.*/go-spiffe/v2 (v[0-9.]+)$|\1|p' "$LAB_DIR/go.mod")

# plain_lines: takes out what differs from run to run, and the indentation. Every other number
# counts: exit statuses, versions, lifetimes, users, ports that were agreed on, and a 0.
plain_lines() {
	sed -E \
		-e 's/([0-9]{1,3}\.){3}[0-9]{1,3}/ADDRESS/g; s/ADDRESS:[0-9]{5}/ADDRESS:PORT/g' \
		-e 's/[0-9]{4}[-\/][0-9]{2}[-\/][0-9]{2}[T ][0-9:]{8}(\.[0-9]+)?(Z| \+0000 UTC)?/TIME/g' \
		-e 's/[A-Z][a-z]{2} +[0-9]+ [0-9:]{8} [0-9]{4} GMT/TIME/g' \
		-e 's/([0-9A-Fa-f]{2}:){7,}[0-9A-Fa-f]{2}/HEX/g' \
		-e 's/[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?/TIME/g' \
		-e 's/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g' \
		-e 's/[0-9A-Fa-f]{20,}/HEX/g' \
		-e 's/pid=[0-9]+/pid=N/; s/process [0-9]+/process N/; s/(\/[a-z]+(-[a-z]+)*)-[0-9]+"/\1-N"/' \
		-e 's/retry_interval=[0-9.]+m?s/retry_interval=N/; s/[0-9.]+ s later/N s later/; s/[0-9]+ s\)/N s)/; s/took [0-9]+ s/took N s/' \
		-e 's/Up (Less than a|About a|[0-9]+) (second|minute)s?( \((health: starting|healthy|unhealthy)\))?/Up N/' \
		-e 's/[1-9][0-9]* (requests|sent|served|failed|failures|rotations)/N \1/g; s/(received|refused) [1-9][0-9]*/\1 N/g; s/[1-9][0-9]* of them/N of them/' \
		-e 's/[[:space:]]+/ /g; s/^ //; s/ $//'
}

# quoted_lines FILE: the lines between ```console and ```; what begins with "..." is left out,
# or told only while a wait lasts.
quoted_lines() { awk '/^```console$/ {on = 1; next} /^```/ {on = 0} on && NF && $0 !~ /^ *\.\.\./' "$1"; }

# explained FILE: how many words there are before "Try it", the quotes not counted.
explained() { awk '/^## Try it$/ {exit} /^```/ {on = !on; next} !on {n += NF} END {print n + 0}' "$1"; }

next_of() { sed -nE '$s/^Next: \[([a-z-]+)\]\(\1\.md\)$/\1/p' "$folder/$1.md"; }

# needs NAME: the lessons that its third line names.
needs() { sed -n 3p "$folder/$1.md" | grep -oE '\]\([a-z-]+\.md\)' | tr -d ']()' | sed 's/\.md$//' || true; }

problems=0
problem() {
	say "$*"
	problems=$((problems + 1))
}

check_quotes() {
	local file=$1 printed line
	printed=$(plain_lines <"$2")
	while IFS= read -r line; do
		grep -qFx -- "$(plain_lines <<<"$line")" <<<"$printed" || problem "$file quotes what is not printed: $line"
	done < <(quoted_lines "$file")
}

check_parts() {
	local file=$1 part
	if [ ! -f "$file" ]; then
		problem "there is no $file"
		return
	fi
	while read -r part; do
		grep -qx "## $part" "$file" || problem "$file has no part \"## $part\""
	done < <(tr '|' '\n' <<<"$parts")
	[ -n "$(quoted_lines "$file")" ] || problem "$file quotes no output (a block that begins with \`\`\`console)"
	sed -n 3p "$file" | grep -qE '^[0-9]+ minutes[,;] .*\.$' ||
		problem "$file does not say in its third line how long it takes and what it needs, such as: 10 minutes; after [bad-id](bad-id.md)."
	[ "$(explained "$file")" -le "$words" ] || problem "$file has $(explained "$file") words before \"Try it\": $words are enough"
	check_sources "$file"
}

# check_sources FILE: the paragraph before the last line links what the lesson rests on, and only
# there a section has its number. SPIRE and go-spiffe are those that the lab runs.
check_sources() {
	local file=$1 sources source named
	sources=$(awk -v RS= '{before = last; last = $0} END {print before}' "$file")
	case $sources in
	'Sources: '*) ;;
	*)
		problem "$file has no paragraph \"Sources: \" before its last line"
		return
		;;
	esac
	while IFS= read -r source; do
		grep -qE "^\[[^]]+\]\($pinned\),?$" <<<"$source" ||
			problem "$file has a source that is not one link to a tag, a commit or an RFC: $source"
		case $source in
		*github.com/spiffe/spire/blob/v"$SPIRE_VERSION"/* | *github.com/spiffe/go-spiffe/blob/"$go_spiffe"/*) ;;
		*github.com/spiffe/spire/* | *github.com/spiffe/go-spiffe/*)
			problem "$file has a source of another version than SPIRE v$SPIRE_VERSION and go-spiffe $go_spiffe: $source"
			;;
		esac
	done <<<"${sources#Sources: }"
	# A line may end between the word and the number.
	named=$(awk -v RS= '!/^Sources: /' "$file" | tr -s '\n ' ' ' | grep -oiE 'sections? [0-9][0-9.]*' || true)
	[ -z "$named" ] || problem "$file names sections outside its sources: $(tr '\n' ' ' <<<"$named")"
}

# check_course: following the Next lines from the first lesson of the README visits every scenario,
# in the order of its tables and of the answers; and no lesson needs one that comes later.
check_course() {
	local course='' name need rows
	rows=$(sed -nE 's/^\| \[([a-z-]+)\]\(scripts\/scenarios\/\1\.md\) \| .*/\1/p' "$LAB_DIR/README.md")
	name=$(head -n 1 <<<"$rows")
	while [ -n "$name" ] && [ -f "$folder/$name.md" ]; do
		case " $course " in
		*" $name "*) problem "the Next lines go round: $name comes twice" && return ;;
		esac
		for need in $(needs "$name"); do
			case " $course " in
			*" $need "*) ;;
			*) problem "$name.md needs $need, which comes after it" ;;
			esac
		done
		course="$course $name"
		name=$(next_of "$name")
	done
	course=$(tr ' ' '\n' <<<"${course# }")
	[ "$(tail -n 1 "$folder/$(tail -n 1 <<<"$course").md")" = 'Next: [the answers](ANSWERS.md)' ] ||
		problem "$(tail -n 1 <<<"$course").md does not end with a line such as \"Next: [bad-id](bad-id.md)\", or the last one with \"Next: [the answers](ANSWERS.md)\""
	[ "$(sort <<<"$course")" = "$(printf '%s\n' "$folder"/*.sh | sed 's/.*\///; s/\.sh$//' | sort)" ] ||
		problem "the Next lines do not visit every scenario: they visit $(tr '\n' ' ' <<<"$course")"
	[ "$course" = "$rows" ] || problem "README.md has the scenarios in another order than the Next lines: $(tr '\n' ' ' <<<"$rows")"
	[ "$course" = "$(sed -n 's/^## //p' "$folder/ANSWERS.md")" ] ||
		problem "ANSWERS.md does not answer each lesson, in their order: $(sed -n 's/^## //p' "$folder/ANSWERS.md" | tr '\n' ' ')"
}

if [ $# -eq 2 ]; then
	case $1 in
	*.md) check_quotes "$1" "$2" ;;
	*) check_quotes "$folder/$1.md" "$2" ;;
	esac
elif [ $# -eq 1 ]; then
	check_parts "$1"
else
	for scenario in "$folder"/*.sh; do
		check_parts "${scenario%.sh}.md"
		name=${scenario##*/} name=${name%.sh}
		row="| [$name](scripts/scenarios/$name.md) | $(sed -n '2s/^# //p' "$scenario") |"
		grep -qFx -- "$row" "$LAB_DIR/README.md" || problem "README.md lacks this row: $row"
	done
	check_course
fi
[ "$problems" -eq 0 ]
