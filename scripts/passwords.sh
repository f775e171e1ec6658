#!/bin/sh
# Writes the list of common passwords that the server refuses: internal/password/common/passwords.txt.gz.
# Its source is a text file with one password a line, compressed with gzip. internal/password/common/README.md
# names the one that was used.
#
# usage: sh scripts/passwords.sh SOURCE.gz
set -eu

out=internal/password/common/passwords.txt.gz

# Shorter ones are refused by their length. The server folds case before it compares. Only ASCII is kept, so
# that this program needs no Unicode tables; the source has hardly anything else.
gzip -dc "$1" | tr -d '\r' | tr '[:upper:]' '[:lower:]' | LC_ALL=C grep -E '^[ -~]{8,}$' | LC_ALL=C sort -u |
	gzip -9n >"$out.new"
mv "$out.new" "$out"

printf '%s passwords, %s bytes\n' "$(gzip -dc "$out" | wc -l)" "$(wc -c <"$out")"
