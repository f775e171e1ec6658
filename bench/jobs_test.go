//go:build linux

package main

import "testing"

func TestARunOfACommandIsMeasured(t *testing.T) {
	b := newTestBench(t)
	b.quick = true
	if err := b.runs(t.Context()); err != nil {
		t.Fatal(err)
	}

	rows := b.report.blocks[0].rows
	if len(rows) != 2 || rows[0].value <= 0 || rows[1].value <= 0 {
		t.Errorf("rows %+v, want the times of the command alone and with jeton run", rows)
	}
}
