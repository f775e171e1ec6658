package limit

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkBegin makes attempts with full tables.
func BenchmarkBegin(b *testing.B) {
	l, err := New(Config{Pair: ample, Account: ample, Source: ample})
	if err != nil {
		b.Fatal(err)
	}

	names := make([]string, 1<<17)
	for i := range names {
		names[i] = fmt.Sprint("user", i)
	}

	now, i := noon, 0
	b.ReportAllocs()

	for b.Loop() {
		now = now.Add(time.Microsecond)
		if _, err := l.Begin(now, names[i%len(names)], address(i%(1<<17)), false); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
