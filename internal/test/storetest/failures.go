package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Failures is the contract of limit.Store.
func Failures(t *testing.T, open Open) {
	for _, tc := range []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"each of many at once counts", failuresAreCounted},
		{"they are forgiven", failuresAreForgiven},
		{"they are forgiven earlier", failuresAreForgivenEarlier},
		{"they are swept", failuresAreSwept},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, open(t)) })
	}
}

// fail adds a failure of a name at a time, of which each is forgiven after a minute, and all after ten.
func fail(t *testing.T, s Store, name string, at time.Time) {
	t.Helper()
	must(t, s.AddFailure(t.Context(), secret.HashOf(name), limit.Failure{
		At:    at,
		Every: time.Minute,
		Most:  10 * time.Minute,
	}))
}

// forgiven returns when all failures of a name are forgiven.
func forgiven(t *testing.T, s Store, name string) time.Time {
	t.Helper()
	gone, err := s.FindFailures(t.Context(), secret.HashOf(name))
	must(t, err)

	return gone
}

func failuresAreCounted(t *testing.T, s Store) {
	same(t, "before the first", forgiven(t, s, "diane"), time.Time{})

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { fail(t, s, "diane", noon) })
	}
	wg.Wait()

	same(t, "after eight", forgiven(t, s, "diane"), noon.Add(8*time.Minute))
	same(t, "of another name", forgiven(t, s, "ben"), time.Time{})
}

func failuresAreForgiven(t *testing.T, s Store) {
	for range 20 {
		fail(t, s, "diane", noon)
	}
	same(t, "after more than count", forgiven(t, s, "diane"), noon.Add(10*time.Minute))

	fail(t, s, "diane", noon.Add(5*time.Minute))
	same(t, "after half of them", forgiven(t, s, "diane"), noon.Add(11*time.Minute))
	fail(t, s, "diane", noon.Add(time.Hour))
	same(t, "after all of them", forgiven(t, s, "diane"), noon.Add(61*time.Minute))

	fail(t, s, "diane", noon.Add(-24*time.Hour))
	same(t, "after the clock was set back", forgiven(t, s, "diane"), noon.Add(-24*time.Hour+10*time.Minute))
}

func failuresAreForgivenEarlier(t *testing.T, s Store) {
	fail(t, s, "diane", noon.Add(24*time.Hour))
	fail(t, s, "ben", noon.Add(24*time.Hour))

	for _, tc := range []struct {
		name string
		at   time.Time
		want time.Time
	}{
		{"at an earlier time", noon.Add(10 * time.Minute), noon.Add(10 * time.Minute)},
		{"at a later time", noon.Add(time.Hour), noon.Add(10 * time.Minute)},
	} {
		must(t, s.ForgiveFailures(t.Context(), secret.HashOf("diane"), tc.at))
		same(t, tc.name, forgiven(t, s, "diane"), tc.want)
	}
	same(t, "of another name", forgiven(t, s, "ben"), noon.Add(24*time.Hour+time.Minute))

	must(t, s.ForgiveFailures(t.Context(), secret.HashOf("carlos"), noon))
	same(t, "of a name without failures", forgiven(t, s, "carlos"), time.Time{})
}

func failuresAreSwept(t *testing.T, s Store) {
	fail(t, s, "diane", noon)
	fail(t, s, "ben", noon)
	fail(t, s, "ben", noon)

	sweep := func(before time.Time, want int) {
		t.Helper()
		n, err := s.SweepFailures(t.Context(), before, 9)
		must(t, err)
		same(t, "swept", n, want)
	}

	sweep(noon.Add(time.Minute), 0)
	sweep(noon.Add(2*time.Minute), 1)
	same(t, "what is left", forgiven(t, s, "ben"), noon.Add(2*time.Minute))
	sweep(noon.Add(time.Hour), 1)
}
