#!/bin/sh
# Makes a signed release of the commit in different folders, once with empty caches, and compares all bytes; then
# installs the packages, and upgrades them to a later version.
# Part of 'make soak'; as root, with minisign, debootstrap, skopeo, rpm, pacman and busybox-static.
set -eu
cd "$(dirname "$0")/.."

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

minisign -G -W -f -p "$temp/jeton.pub" -s "$temp/jeton.key" >/dev/null 2>&1
go -C packaging build -o "$temp/packaging" .

# release PLACE VERSION PLATFORM...: makes a release of a clone at PLACE, in dist-PLACE.
release() {
	place=$1
	version=$2
	shift 2
	for platform; do
		shift
		set -- "$@" --platform "$platform"
	done
	git clone -q . "$temp/$place"
	(cd "$temp/$place" && "$temp/packaging" --version "$version" "$@" --key "$temp/jeton.key" --out "$temp/dist-${place%%/*}")
}

release one v0.1.0 linux/amd64 linux/arm64
release another/place v0.1.0 linux/amd64 linux/arm64
diff "$temp/dist-one/SHA256SUMS" "$temp/dist-another/SHA256SUMS"
diff "$temp/dist-one/SHA256SUMS.minisig" "$temp/dist-another/SHA256SUMS.minisig"
echo "two builds are equal"

# A build that finds nothing compiled, with its modules elsewhere and other flags, gives the same bytes. One platform is
# enough: it takes minutes, and all are compiled by the same command.
modules=$(go env GOMODCACHE)
(
	export GOCACHE="$temp/cache" GOMODCACHE="$temp/modules" GOPROXY="file://$modules/cache/download" GOSUMDB=off
	export GOFLAGS=-trimpath=false GOAMD64=v3
	release cold/cache v0.1.0 linux/amd64
)
for dist in one cold; do
	grep -E 'amd64|x86_64' "$temp/dist-$dist/SHA256SUMS" >"$temp/$dist.sums"
done
diff "$temp/one.sums" "$temp/cold.sums"
echo "a build with empty caches is equal: $(wc -l <"$temp/one.sums") files"

minisign -V -q -H -p "$temp/jeton.pub" -m "$temp/dist-one/SHA256SUMS"
(cd "$temp/dist-one" && sha256sum --check --quiet SHA256SUMS)
echo "the signature and the checksums are right"

# Programs that read the layout refuse one in which they would have to choose an image.
skopeo inspect "oci-archive:$temp/dist-one/jeton_0.1.0_oci.tar" | grep -q '"Architecture": "amd64"'
echo "the image can be read"

release later v0.1.1 linux/amd64
sh packaging/chroot.sh "$temp/dist-one" "$temp/dist-later"
