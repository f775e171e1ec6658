# How the checks compile; the other scripts read this file. Linters, tests and the program share what is compiled.

# As the program is released.
export CGO_ENABLED=0

# Without information for debuggers, which takes a fifth of the time. Stack traces have their lines all the same. The
# flags of the user stay, also those of 'go env -w'.
GOFLAGS=$(go env GOFLAGS)
case "$GOFLAGS" in
*-dwarf=false*) ;;
*) GOFLAGS="$GOFLAGS -gcflags=all=-dwarf=false" ;;
esac
export GOFLAGS

# temporary makes the folder $temp for the files of the tests and of this script, which ends with it. It is in memory
# where that is possible: tests start hundreds of databases, and would wait for the disk half of their time. What is
# compiled stays on the disk.
temporary() {
	temp=""
	free=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 {print $4}')
	available=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo 2>/dev/null || :)
	if [ "${free:-0}" -gt 4000000 ] && [ "${available:-0}" -gt 8000000 ]; then
		temp=$(mktemp -d /dev/shm/XXXXXX) || :
	fi
	if runs "$temp"; then
		export GOTMPDIR="${GOTMPDIR:-${TMPDIR:-/tmp}}"
		export TMPDIR="$temp"
		chmod 1777 "$temp" # as /tmp: run by root, PostgreSQL and the sandboxes of browsers are other users
	else
		[ -z "$temp" ] || rm -rf "$temp"
		temp=$(mktemp -d)
	fi
	trap 'rm -rf "$temp"' EXIT
}

# runs says whether there is a folder and programs in it may be started.
runs() {
	[ -n "$1" ] && cp /bin/true "$1/true" && "$1/true" && rm "$1/true"
}
