package main

import (
	"math/bits"
	"time"
)

// hist counts latencies in buckets that are at most 1.6 % wide.
type hist struct {
	count   uint64
	buckets [58 * 64]uint32
}

// add counts a latency. Below 128 ns a bucket is 1 ns wide; then 64 buckets share each
// power of two.
func (h *hist) add(d time.Duration) {
	v := uint64(max(d, 0))
	shift := max(bits.Len64(v)-7, 0)
	h.buckets[min(shift*64+int(v>>shift), len(h.buckets)-1)]++
	h.count++
}

// merge adds all that another has counted.
func (h *hist) merge(other *hist) {
	h.count += other.count
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
}

// quantile returns the latency below which the share q of all are.
func (h *hist) quantile(q float64) time.Duration {
	rank, seen := uint64(q*float64(h.count)), uint64(0)
	for i, n := range h.buckets {
		seen += uint64(n)
		if seen > rank {
			if i < 128 {
				return time.Duration(i)
			}
			shift := i/64 - 1
			return time.Duration((i%64+64)<<shift + 1<<shift/2)
		}
	}

	return 0
}
