#!/bin/sh
# Copies programs of this Linux system, and the shared libraries that they need, into a directory: collect.sh
# DIRECTORY PROGRAM...
# It runs in an image where images can be pulled, and on the learner's machine elsewhere.
set -eu
umask 022

destination=$1
shift

# place FILE: copies the file to the same path, and follows links.
place() {
	mkdir -p "$destination${1%/*}"
	cp -L "$1" "$destination$1"
}

for program in "$@"; do
	path=$(command -v "$program") || {
		echo "error: the program $program was not found on this machine" >&2
		echo "hint: on Debian and Ubuntu: apt-get install $program" >&2
		exit 1
	}
	mkdir -p "$destination/bin"
	cp -L "$path" "$destination/bin/$program"
	# A static program needs no libraries.
	for library in $(ldd "$path" 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p'); do
		place "$library"
	done
done

# The working directory of the scenarios, for every user, and the directory in which go-spiffe's example expects the
# Workload API.
mkdir -p "$destination/scratch" "$destination/tmp"
chmod 1777 "$destination/scratch" "$destination/tmp"
ln -sf /tmp/spire-agent/public/api.sock "$destination/tmp/agent.sock"
