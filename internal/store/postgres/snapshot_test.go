package postgres

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

func TestParseSnapshot(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		shows      []uint64
		hides      []uint64
		bad        bool
	}{
		{"nothing is running", "10:10:", []uint64{1, 9}, []uint64{10, 11, 1 << 60}, false},
		{"some are running", "10:20:10,15,19", []uint64{9, 11, 14, 16, 18}, []uint64{10, 15, 19, 20, 21}, false},
		{"the first there is", "3:3:", []uint64{2}, []uint64{3}, false},
		{
			"large numbers",
			"18446744073709551610:18446744073709551614:18446744073709551612",
			[]uint64{1, 18446744073709551611},
			[]uint64{18446744073709551612, 18446744073709551614},
			false,
		},
		{"nothing", "", nil, nil, true},
		{"two parts", "1:2", nil, nil, true},
		{"an end before the start", "5:4:", nil, nil, true},
		{"out of order", "1:9:5,3", nil, nil, true},
		{"a letter", "1:x:", nil, nil, true},
		{"a letter in the list", "1:5:x", nil, nil, true},
		{"a negative number", "-1:5:", nil, nil, true},
		{"more than fits", "1:18446744073709551616:", nil, nil, true},
		{"a comma too many", "1:5:3,", nil, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parseSnapshot(tc.text)
			if (err != nil) != tc.bad {
				t.Fatalf("parseSnapshot(%q) = %v, want an error: %t", tc.text, err, tc.bad)
			}

			for _, xid := range tc.shows {
				if !s.shows(xid) {
					t.Errorf("%s does not show %d, want it to", tc.text, xid)
				}
			}

			for _, xid := range tc.hides {
				if s.shows(xid) {
					t.Errorf("%s shows %d, want it not to", tc.text, xid)
				}
			}
		})
	}
}

// FuzzSnapshot checks that no notification breaks a node, and that a snapshot shows nothing that
// comes after it.
func FuzzSnapshot(f *testing.F) {
	for _, text := range []string{"", "1:1:", "10:20:10,15,19", "9:8:", "::", "1:2:1,", "1:18446744073709551615:"} {
		f.Add(text, uint64(10))
	}

	f.Fuzz(func(t *testing.T, text string, xid uint64) {
		s, err := parseSnapshot(text)
		if err == nil && s.shows(xid) && xid >= s.xmax {
			t.Errorf("%q shows %d, want it not to: it is after xmax", text, xid)
		}
		if err == nil && !s.shows(xid) && xid < s.xmin {
			t.Errorf("%q does not show %d, want it to: it is before xmin", text, xid)
		}

		db := &DB{c: Config{}.withDefaults()}
		db.Store = statements.New(engine{db})
		h := &node{
			db:          db,
			id:          "me",
			acks:        map[string]snapshot{},
			acksChanged: make(chan struct{}),
			wakeUp:      make(chan struct{}, 1),
		}
		h.onNotification(t.Context(), "heard other "+text)
		h.onNotification(t.Context(), text)

		_, acked := h.acks["other"]
		if acked != (err == nil) {
			t.Errorf("%q: acknowledged = %v, want the opposite of a parse error: %v", text, acked, err)
		}
	})
}

func TestSnapshotsAgreeWithTheServer(t *testing.T) {
	url := shared.Database(t)
	conn := connect(t, url)
	execSQL(t, conn, "CREATE TABLE seen (xid XID8)")
	open := connect(t, url)
	execSQL(t, open, "BEGIN")

	execSQL(t, open, "INSERT INTO seen VALUES (pg_current_xact_id())")

	for range 5 {
		execSQL(t, conn, "INSERT INTO seen VALUES (pg_current_xact_id())")
	}

	var text string
	queryRow(t, conn, &text, "SELECT pg_current_snapshot()::text")
	s, err := parseSnapshot(text)
	must(t, err)
	execSQL(t, open, "COMMIT")

	execSQL(t, conn, "INSERT INTO seen VALUES (pg_current_xact_id())")
	rows, err := conn.Query(
		t.Context(),
		"SELECT xid::text::bigint, pg_visible_in_snapshot(xid, $1::text::pg_snapshot) FROM seen", text,
	)
	must(t, err)
	n, shown := 0, 0
	for rows.Next() {
		var xid int64
		var want bool
		must(t, rows.Scan(&xid, &want))

		if s.shows(uint64(xid)) != want {
			t.Errorf("%s shows %d: %v, want %v", text, xid, !want, want)
		}
		n++
		if want {
			shown++
		}
	}

	must(t, rows.Err())
	if n != 7 || shown != 5 {
		t.Errorf("%d of %d are shown, want 5 of 7", shown, n)
	}
}
