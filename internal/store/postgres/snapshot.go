package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshot is a pg_snapshot: it shows all transactions before xmin, none from xmax on, and
// between the two all but those that were running.
type snapshot struct {
	xmin    uint64
	xmax    uint64
	running []uint64 // sorted
}

// parseSnapshot parses xmin:xmax:xid,xid,…
func parseSnapshot(text string) (s snapshot, err error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return s, fmt.Errorf("invalid snapshot %.80q", text)
	}

	number := func(text string) uint64 {
		n, e := strconv.ParseUint(text, 10, 64)
		if e != nil && err == nil {
			err = fmt.Errorf("invalid snapshot %.80q: %w", text, e)
		}
		return n
	}

	s.xmin = number(parts[0])
	s.xmax = number(parts[1])
	if parts[2] != "" {
		for each := range strings.SplitSeq(parts[2], ",") {
			s.running = append(s.running, number(each))
		}
	}

	if err == nil && (s.xmin > s.xmax || !slices.IsSorted(s.running)) {
		err = fmt.Errorf("invalid snapshot %.80q", text)
	}

	return s, err
}

// shows reports whether the snapshot shows a transaction, if that was committed.
func (s snapshot) shows(xid uint64) bool {
	if xid < s.xmin || xid >= s.xmax {
		return xid < s.xmin
	}
	_, running := slices.BinarySearch(s.running, xid)
	return !running
}
