#!/bin/sh
# Provisions the host and registers its workloads with the real spire-server CLI. The script prints each command before
# the command runs. It can run again: it creates missing entries, and does not change existing entries. If an entry
# differs from the lab's entry, the script prints the difference, and the commands that restore the lab's entry. If a
# command fails, the script prints the command's output and exits.
set -eu

PATH=/opt/spire/bin:/bin
admin_socket=/tmp/spire-server/private/api.sock
credential=/run/host-credential
host=spiffe://example.org/host
agent=spiffe://example.org/spire/agent/x509pop/host
cli='docker compose exec spire-server /opt/spire/bin/spire-server'
newline='
'
output=

say() { printf '%s\n' "$*"; }

# spire ARG...: prints the command, runs it, and keeps its output in $output.
spire() {
	say "\$ spire-server $*"
	status=0
	output=$(spire-server "$@" 2>&1) || status=$?
	if [ "$status" -ne 0 ]; then
		say "$output"
		say "bootstrap: 'spire-server $*' failed with exit status $status"
		exit 1
	fi
}

# wait_for_server: repeats `spire-server entry show` until the SPIRE server answers.
wait_for_server() {
	say '$ spire-server entry show'
	tries=0
	until [ -S "$admin_socket" ] && output=$(spire-server entry show 2>&1); do
		tries=$((tries + 1))
		if [ "$tries" -ge 600 ]; then
			say "bootstrap: no answer from the SPIRE server on $admin_socket for 60 s: ${output:-the socket does not exist}"
			say "hint: docker compose logs spire-server"
			exit 1
		fi
		sleep 0.1
	done
}

# only_in LINES OTHERS MARK: prints those LINES that are not among the OTHERS. Each line begins with the MARK.
only_in() {
	while IFS= read -r each; do
		case "$newline$2$newline" in
		*"$newline$each$newline"*) ;;
		*) say "  $3 $each" ;;
		esac
	done <<END
$1
END
}

# differs ARG...: prints how the entry that was read last differs from the lab's entry. The command `spire-server
# ARG...` removes the difference.
differs() {
	say "  The entry $id differs from the lab's entry (-: the lab's, +: found). It is not changed."
	only_in "$own" "$shown" -
	only_in "$shown" "$own" +
	commands="$commands$newline  $cli $*"
}

# entry ENTRY_ID SPIFFE_ID PARENT_ID SELECTOR: compares the lab's entry with the existing entries that have this entry
# ID, or both this SPIFFE ID and this parent ID. If there is no such entry, it creates the lab's entry.
entry() {
	same_id="Entry ID                : $1"
	same_name="SPIFFE ID               : $2
Parent ID               : $3"
	own="$same_id
$same_name
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : $4"
	missing=yes commands='' shown=''
	while IFS= read -r line; do
		case "$line" in
		'Found '* | 'Revision '*) ;;
		'Entry ID '*) id=${line#*: } shown=$line ;;
		?*) shown=$shown$newline$line ;;
		*) # an empty line ends the entry
			case "$shown$newline" in
			"$own$newline") missing='' ;;
			"$same_id$newline"*)
				missing=''
				differs entry update -entryID "$1" -parentID "$3" -spiffeID "$2" -selector "$4"
				;;
			*"$newline$same_name$newline"*) differs entry delete -entryID "$id" ;;
			esac
			shown=''
			;;
		esac
	done <<END
$entries

END
	if [ -n "$missing" ]; then
		if [ "$3" = spiffe://example.org/spire/server ]; then
			set -- entry create -entryID "$1" -node -spiffeID "$2" -selector "$4"
		else
			set -- entry create -entryID "$1" -parentID "$3" -spiffeID "$2" -selector "$4"
		fi
		if [ -z "$commands" ]; then
			spire "$@"
			return
		fi
		commands="$commands$newline  $cli $*"
	fi
	if [ -n "$commands" ]; then
		say "  To restore the lab's entry:$commands"
	else
		say "  entry for $2 is as it should be"
	fi
}

wait_for_server
entries=$output

# The next command writes the credential with which the host's agent attests, and the trust bundle with which the agent
# verifies the SPIRE server.
spire x509 mint -spiffeID spiffe://example.org/node/host -ttl 8700h -write "$credential"

entry host "$host" spiffe://example.org/spire/server "spiffe_id:$agent"
entry server spiffe://example.org/server "$host" unix:user:server-workload
entry client spiffe://example.org/client "$host" unix:user:client-workload
say 'bootstrap: done'
