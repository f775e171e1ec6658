package access_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestTheLastUseOfATokenIsListed uses a token in every way and expects of the list the time of what was admitted, to
// the second, at once and after a restart.
func TestTheLastUseOfATokenIsListed(t *testing.T) {
	var now atomic.Int64
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now.Store(noon.UnixMilli())

	dir := t.TempDir()
	clock := jetontest.Clock(func() time.Time { return time.UnixMilli(now.Load()) })
	b := &bench{t: t, Server: jetontest.Start(t, personalConf, clock, jetontest.DataDir(dir))}
	b.now.Store(now.Load())
	b.AddUser("diane", "correct horse battery")

	wish := b.wish()
	wish.MaxUses = 3
	made := b.make(wish)

	used := func() time.Time {
		t.Helper()
		var tok jeton.Token
		b.MustControl("GET", "/api/v1/tokens/"+made.Accessor, nil, &tok)
		return tok.LastUsed
	}

	for _, tc := range []struct {
		name   string
		after  time.Duration // when, after noon
		method string
		path   string
		status int
		want   time.Time
	}{
		{"a refused request is no use", time.Minute, "GET", "/scoped", 403, time.Time{}},
		{"the first use", 2 * time.Minute, "GET", "/who", 200, noon.Add(2 * time.Minute)},
		{"a look takes no use of the count", 3 * time.Minute, "HEAD", "/who", 200, noon.Add(3 * time.Minute)},
		{"the clock is set back", time.Minute, "GET", "/who", 200, noon.Add(3 * time.Minute)},
		{"the last use of the count", 5 * time.Minute, "GET", "/who", 200, noon.Add(5 * time.Minute)},
		{"a spent token", 6 * time.Minute, "GET", "/who", 403, noon.Add(5 * time.Minute)},
	} {
		now.Store(noon.Add(tc.after).UnixMilli())
		a := b.ask(tc.method, "app", tc.path, made.Secret)
		if a.Status != tc.status {
			t.Errorf("%s: %s %s = %d %s, want %d", tc.name, tc.method, tc.path, a.Status, a.Body, tc.status)
		}
		if got := used(); !got.Equal(tc.want) {
			t.Errorf("%s: last_used_at = %v, want %v", tc.name, got, tc.want)
		}
	}

	b.Stop()
	b.Server = jetontest.Start(t, personalConf, clock, jetontest.DataDir(dir))
	if got := used(); !got.Equal(noon.Add(5 * time.Minute)) {
		t.Errorf("after a restart: last_used_at = %v, want %v", got, noon.Add(5*time.Minute))
	}

	var fresh api.MadeToken
	b.MustControl("POST", "/api/v1/tokens/"+made.Accessor+"/rotate", nil, &fresh)
	if got := used(); !got.Equal(noon.Add(5 * time.Minute)) {
		t.Errorf("after a rotation: last_used_at = %v, want %v", got, noon.Add(5*time.Minute))
	}
}
