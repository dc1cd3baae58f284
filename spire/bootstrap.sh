#!/bin/sh
# Provisions the host and registers its workloads, with the real spire-server CLI, printing
# each command before it runs. Safe to repeat: an entry that is as it should be is left
# alone, one that differs is updated, any other failure stops the script with its output.
set -eu

PATH=/opt/spire/bin:/bin
admin_socket=/tmp/spire-server/private/api.sock
credential=/run/host-credential
host=spiffe://example.org/host
agent=spiffe://example.org/spire/agent/x509pop/host
output=

say() { printf '%s\n' "$*"; }

# spire ARG...: shows the command, runs it, keeps what it printed in $output.
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

# wait_for_server: the first command is tried until it is answered, which is when the server is ready.
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

# find_entry SPIFFE_ID PARENT_ID ENTRY_ID: the entry's ID in $found, all that is said of it in $found_as.
# Of several, the one with ENTRY_ID wins, else the first.
find_entry() {
	found='' found_as='' id='' spiffe_id='' parent_id='' rest=''
	while read -r line; do
		value=${line#*: }
		case "$line" in
		'Entry ID '*) id=$value spiffe_id='' parent_id='' rest='' ;;
		'SPIFFE ID '*) spiffe_id=$value ;;
		'Parent ID '*) parent_id=$value ;;
		'Revision '*) ;;
		'')
			if [ "$spiffe_id" = "$1" ] && [ "$parent_id" = "$2" ]; then
				if [ -z "$found" ] || [ "$id" = "$3" ]; then
					found=$id
					found_as=$rest
				fi
			fi
			spiffe_id=''
			;;
		*) rest="$rest${line%% *}=$value;" ;;
		esac
	done <<END
$entries

END
}

# entry ENTRY_ID SPIFFE_ID PARENT_ID SELECTOR
entry() {
	find_entry "$2" "$3" "$1"
	if [ -z "$found" ]; then
		if [ "$3" = spiffe://example.org/spire/server ]; then
			spire entry create -entryID "$1" -node -spiffeID "$2" -selector "$4"
		else
			spire entry create -entryID "$1" -parentID "$3" -spiffeID "$2" -selector "$4"
		fi
	elif [ "$found_as" = "X509-SVID=default;JWT-SVID=default;Selector=$4;" ]; then
		say "  entry for $2 is as it should be"
	else
		say "  entry for $2 differs ($found_as): updated"
		spire entry update -entryID "$found" -parentID "$3" -spiffeID "$2" -selector "$4"
	fi
}

wait_for_server
entries=$output

# The credential with which the host's agent proves who it is, and the trust bundle with
# which it verifies the server.
spire x509 mint -spiffeID spiffe://example.org/node/host -ttl 8700h -write "$credential"

entry host "$host" spiffe://example.org/spire/server "spiffe_id:$agent"
entry server spiffe://example.org/server "$host" unix:user:server-workload
entry client spiffe://example.org/client "$host" unix:user:client-workload
say 'bootstrap: done'
