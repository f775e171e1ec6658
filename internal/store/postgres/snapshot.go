package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshot is what a statement saw: all transactions before xmin, none from xmax on, and
// between the two all but those in the list (pg_snapshot, as PostgreSQL writes it).
type snapshot struct {
	xmin, xmax uint64
	running    []uint64 // sorted
}

// parseSnapshot reads xmin:xmax:xid,xid,…
func parseSnapshot(text string) (s snapshot, err error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return s, fmt.Errorf("%.80q is no snapshot", text)
	}

	number := func(text string) uint64 {
		n, e := strconv.ParseUint(text, 10, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("%.80q is no snapshot: %w", text, e)
		}
		return n
	}

	s.xmin, s.xmax = number(parts[0]), number(parts[1])
	if parts[2] != "" {
		for each := range strings.SplitSeq(parts[2], ",") {
			s.running = append(s.running, number(each))
		}
	}

	if err == nil && (s.xmin > s.xmax || !slices.IsSorted(s.running)) {
		err = fmt.Errorf("%.80q is no snapshot", text)
	}

	return s, err
}

// shows reports whether what a committed transaction did can be seen in the snapshot.
func (s snapshot) shows(xid uint64) bool {
	if xid < s.xmin || xid >= s.xmax {
		return xid < s.xmin
	}
	_, running := slices.BinarySearch(s.running, xid)
	return !running
}
