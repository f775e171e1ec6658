#!/bin/sh
# Makes a release of the commit twice, in different folders, and compares all bytes; then installs the packages.
# Part of 'make soak'; as root, with debootstrap, skopeo, rpm, pacman and busybox.
set -eu
cd "$(dirname "$0")/.."

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

for name in one another/place; do
	git clone -q . "$temp/$name"
	# Each compiles everything: what the other has left in a cache would prove nothing.
	GOCACHE="$temp/cache-${name%%/*}" go -C "$temp/$name/packaging" run . --version v0.1.0 --platform linux/amd64 --platform linux/arm64 \
		--out "$temp/dist-${name%%/*}"
done
diff "$temp/dist-one/SHA256SUMS" "$temp/dist-another/SHA256SUMS"
echo "two builds are equal"

# Programs that read the layout refuse one in which they would have to choose an image.
skopeo inspect "oci-archive:$temp/dist-one/jeton_0.1.0_oci.tar" | grep -q '"Architecture": "amd64"'
echo "the image can be read"

sh packaging/chroot.sh "$temp/dist-one" "$temp/dist-another"
