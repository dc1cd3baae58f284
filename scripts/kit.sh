#!/usr/bin/env bash
# Packs the lab into one file, for a room without a network: all images, this folder's files, the program lab for
# Linux and macOS, a Compose for Linux, checksums, and START.txt. KIT=folder says where to; .cache/kit otherwise.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

part preflight
ensure_compose
command -v git >/dev/null 2>&1 || die "git was not found, by which the files of the lab are known" "pack the kit where git is"
[ -d "$LAB_DIR/.git" ] || [ -f "$LAB_DIR/.git" ] || die "$LAB_DIR is no clone" "git clone the lab, and pack the kit from there"
part build-tools

out=${KIT:-$CACHE_DIR/kit}
work=$(mktemp -d)
lock kit 600 "another kit is being packed"
trap 'unlock kit; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# An image is known by its tag. The kit has a tag of its own: it takes no name from images that are there.
images=$(compose --profile '*' config --images | sort -u)
architecture=$(docker image inspect --format '{{.Architecture}}' "$WORKLOAD_IMAGE")
# shellcheck disable=SC2086 # a list of images
tag=kit-$(cd "$LAB_DIR" && { git ls-files -z | xargs -0 cksum && docker image inspect --format '{{.Id}}' $images; } | cksum | cut -d ' ' -f 1)
name=spiffe-lab-kit-linux-$architecture
kit=$work/$name
mkdir -p "$kit/lab" "$out"

# An engine may have images for several architectures under one name, and save another than is meant.
for image in $images; do
	found=$(docker image inspect --format '{{.Architecture}}' "$image")
	[ "$found" = "$architecture" ] || die "$image is for $found, and $WORKLOAD_IMAGE for $architecture" "make clean, then make up on one engine"
	docker tag "$image" "${image%:*}:$tag"
done
say "the files of the lab, and Compose"
(cd "$LAB_DIR" && git ls-files -z | xargs -0 tar -cf -) | tar -C "$kit/lab" -xf -
sed -i.bak "s/^LAB_TAG=.*/LAB_TAG=$tag/" "$kit/lab/.env"
rm "$kit/lab/.env.bak"
if [ "$COMPOSE" = "$CACHE_DIR/bin/docker-compose" ] && [ "$(uname -s)" = Linux ]; then
	gzip -9 <"$COMPOSE" >"$kit/docker-compose.gz"
else
	need_go "a Compose for Linux is to be built for the kit" "pack the kit where Go is"
	part compile-compose linux "$architecture" "$work/docker-compose"
	gzip -9 <"$work/docker-compose" >"$kit/docker-compose.gz"
fi
# programs_for OS ARCHITECTURE: the programs lab and console, as scripts/lab gets them.
programs_for() {
	local container
	rm -rf "$work/programs"
	if command -v go >/dev/null 2>&1; then
		(cd "$LAB_DIR" && go run ./services/lab/build -os "$1" -arch "$2" -o "$work/programs") || return 1
	else
		HOST_OS=$1 HOST_ARCH=$2 compose --file "$LAB_DIR/services/lab/compose.yaml" build >"$CACHE_DIR/build.log" 2>&1 || return 1
		container=$(docker create "spiffe-lab/lab:$1-$2" lab)
		docker cp "$container:/programs" "$work/programs" >/dev/null
		docker rm "$container" >/dev/null
	fi
	tar -C "$work/programs" -cf - . | gzip -9 >"$kit/programs-$1-$2.tar.gz"
}
for machine in "linux $architecture" 'darwin amd64' 'darwin arm64'; do
	# shellcheck disable=SC2086 # two words
	programs_for $machine || die "the program lab cannot be compiled for $machine" "cat $CACHE_DIR/build.log"
done
say "$(wc -w <<<"$images" | xargs) images for linux/$architecture"
for image in $images; do say "${image%:*}:$tag"; done >"$kit/images.txt"
save() { xargs docker save <"$kit/images.txt" | gzip -9 >"$kit/images.tar.gz"; }
with_signs_of_life "saving the images" save
xargs docker image rm <"$kit/images.txt" >/dev/null

# What an engine will find in it, whatever this one has saved.
tar -xzOf "$kit/images.tar.gz" manifest.json >"$work/manifest.json" || die "docker save has written no images" "is the engine's disk full?"
while read -r config; do
	saved=$(tar -xzOf "$kit/images.tar.gz" "$config" | sed -n 's/.*"architecture":"\([a-z0-9]*\)".*/\1/p')
	[ "$saved" = "$architecture" ] || die "docker save has written an image for ${saved:-no architecture}, and not for $architecture" "pack the kit on an engine of its own architecture"
done < <(grep -o '"Config":"[^"]*"' "$work/manifest.json" | cut -d '"' -f 4)

say "$architecture" >"$kit/architecture.txt"
cp "$LAB_DIR/scripts/kit/start" "$LAB_DIR/scripts/kit/START.txt" "$kit/"
chmod 755 "$kit/start"
(cd "$kit" && find . -type f | LC_ALL=C sort | xargs sha256sum >"$work/sums" && mv "$work/sums" SHA256SUMS)
# What tells that the rest is missing comes first.
(cd "$work" && tar -cf "$out/$name.tar.part" "$name"/{start,START.txt,SHA256SUMS,architecture.txt,images.txt} "$name"/{lab,lab-*.gz,docker-compose.gz,images.tar.gz})
mv "$out/$name.tar.part" "$out/$name.tar"
say "$out/$name.tar: $(du -m "$out/$name.tar" | cut -f 1) MB, of which the images are $(du -m "$kit/images.tar.gz" | cut -f 1)"
