#!/bin/sh
# Prints how much of the server's program each module takes, in kB, the largest first: code and data that the linker
# kept. What is left are the tables of the runtime (names, lines, types), which grow with them.
# docs/reference/performance.md has the figures.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh

temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

go build -trimpath -ldflags='-s -w' -o "$temp/stripped" ./cmd/jeton
go build -trimpath -o "$temp/jeton" ./cmd/jeton
go version -m "$temp/jeton" | awk '$1 == "mod" || $1 == "dep" {print $2}' >"$temp/modules"
go tool nm -size -type "$temp/jeton" >"$temp/symbols"

awk -v all="$(wc -c <"$temp/stripped")" '
	NR == FNR { modules[$1] = 1; next }
	# Address, size, type, name. Symbols of the kinds b and B take no space in the file, nor does that memory of 32 MiB.
	$3 !~ /^[tTrRdD]$/ || $4 == "crypto/internal/fips140/drbg.memory" { next }
	{
		name = $4
		sub(/^(type:\.eq\.|type:\.hash\.|go:itab\.\*?|go:string\.|type:\*?)/, "", name)
		found = "the standard library"
		path = name
		gsub(/%2e/, ".", path)
		while (path != "") {
			if (path in modules) { found = path; break }
			if (!match(path, /[\/.][^\/.]*$/)) break
			path = substr(path, 1, RSTART - 1)
		}
		size[found] += $2
		sum += $2
	}
	END {
		printf "%6d kB  the stripped program\n", all / 1000
		printf "%6d kB  tables of the runtime\n", (all - sum) / 1000
		for (m in size) if (size[m] >= 1000) printf "%6d kB  %s\n", size[m] / 1000, m
	}
' "$temp/modules" "$temp/symbols" | sort -rn
