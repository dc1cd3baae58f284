#!/usr/bin/env bash
# Packs the lab into one file, for a room without a network: all images, this folder's files, a Compose
# for Linux, checksums, and START.txt. KIT=folder says where to; .cache/kit otherwise.
set -euo pipefail
# shellcheck source=lib/host.sh
. "$(dirname "$0")/lib/host.sh"

look_first
command -v git >/dev/null 2>&1 || die "git was not found, by which the files of the lab are known" "pack the kit where git is"
[ -d "$LAB_DIR/.git" ] || [ -f "$LAB_DIR/.git" ] || die "$LAB_DIR is no clone" "git clone the lab, and pack the kit from there"
bash "$LAB_DIR/scripts/build.sh" tools

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
	GOOS=linux GOARCH=$architecture build_compose "$work/docker-compose"
	gzip -9 <"$work/docker-compose" >"$kit/docker-compose.gz"
fi
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
(cd "$work" && tar -cf "$out/$name.tar.part" "$name"/{start,START.txt,SHA256SUMS,architecture.txt,images.txt} "$name"/{lab,docker-compose.gz,images.tar.gz})
mv "$out/$name.tar.part" "$out/$name.tar"
say "$out/$name.tar: $(du -m "$out/$name.tar" | cut -f 1) MB, of which the images are $(du -m "$kit/images.tar.gz" | cut -f 1)"
