#!/bin/sh
# Makes a signed release of the commit twice, in different folders, and compares all bytes; then installs the packages.
# Part of 'make soak'; as root, with minisign, debootstrap, skopeo, rpm, pacman and busybox-static.
set -eu
cd "$(dirname "$0")/.."

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

minisign -G -W -f -p "$temp/jeton.pub" -s "$temp/jeton.key" >/dev/null 2>&1

for name in one another/place; do
	git clone -q . "$temp/$name"
	# Each compiles everything: what the other has left in a cache would prove nothing.
	GOCACHE="$temp/cache-${name%%/*}" go -C "$temp/$name/packaging" run . --version v0.1.0 --platform linux/amd64 --platform linux/arm64 \
		--key "$temp/jeton.key" --out "$temp/dist-${name%%/*}"
done
diff "$temp/dist-one/SHA256SUMS" "$temp/dist-another/SHA256SUMS"
diff "$temp/dist-one/SHA256SUMS.minisig" "$temp/dist-another/SHA256SUMS.minisig"
echo "two builds are equal"

minisign -V -q -H -p "$temp/jeton.pub" -m "$temp/dist-one/SHA256SUMS"
(cd "$temp/dist-one" && sha256sum --check --quiet SHA256SUMS)
echo "the signature and the checksums are right"

# Programs that read the layout refuse one in which they would have to choose an image.
skopeo inspect "oci-archive:$temp/dist-one/jeton_0.1.0_oci.tar" | grep -q '"Architecture": "amd64"'
echo "the image can be read"

sh packaging/chroot.sh "$temp/dist-one" "$temp/dist-another"
