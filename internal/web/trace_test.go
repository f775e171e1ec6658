package web

import (
	"net/http"
	"strings"
	"testing"
)

func TestTraces(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	const parent = "00-" + id + "-00f067aa0ba902b7-01"

	for _, tc := range []struct {
		name   string
		parent []string
		state  []string
		id     string
		kept   int // lines of Tracestate
	}{
		{"none", nil, nil, "", 0},
		{"a state without a trace", nil, []string{"a=1"}, "", 0},
		{"a trace", []string{parent}, nil, id, 0},
		{"a trace with a state", []string{parent}, []string{"congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"}, id, 1},
		{"a state in two lines", []string{parent}, []string{"a=1", "b@vendor=2 , "}, id, 2},
		{"two traces", []string{parent, parent}, []string{"a=1"}, "", 0},
		{"upper case", []string{strings.ToUpper(parent)}, []string{"a=1"}, "", 0},
		{"version ff", []string{"ff" + parent[2:]}, nil, "", 0},
		{"version 00 with more fields", []string{parent + "-x"}, nil, "", 0},
		{"a later version", []string{"cc" + parent[2:]}, nil, id, 0},
		{"a later version with more fields", []string{"cc" + parent[2:] + "-what"}, nil, id, 0},
		{"a later version with a longer field", []string{"cc" + parent[2:] + "1"}, nil, "", 0},
		{"no trace id", []string{strings.Replace(parent, id, strings.Repeat("0", 32), 1)}, nil, "", 0},
		{"no parent id", []string{"00-" + id + "-0000000000000000-01"}, nil, "", 0},
		{"cut short", []string{parent[:54]}, nil, "", 0},
		{"another separator", []string{strings.Replace(parent, "-", "_", 1)}, nil, "", 0},
		{"a state with a control character", []string{parent}, []string{"a=1\x7f"}, id, 0},
		{"a state with a key twice", []string{parent}, []string{"a=1,a=2"}, id, 0},
		{"a state without a value", []string{parent}, []string{"a="}, id, 0},
		{"a state with a key in upper case", []string{parent}, []string{"A=1"}, id, 0},
		{"a state that is too long", []string{parent}, []string{"a=" + strings.Repeat("x", 1100)}, id, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			if tc.parent != nil {
				h[HeaderTraceParent] = tc.parent
			}
			if tc.state != nil {
				h[HeaderTraceState] = tc.state
			}

			got := KeepTrace(h)
			parents, states := len(h[HeaderTraceParent]), len(h[HeaderTraceState])
			if got != tc.id || (parents == 1) != (tc.id != "") || states != tc.kept {
				t.Errorf("id %q with headers %v, want %q and %d lines of the state", got, h, tc.id, tc.kept)
			}
		})
	}
}
