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
