package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// signIn starts a sign-in session of diane and returns it as it is stored.
func (b *bench) signIn(t testing.TB, lifetime time.Duration) Record {
	t.Helper()
	tm := terms
	tm.Lifetime = lifetime
	tm.Idle = lifetime

	s, err := b.Start(t.Context(), diane, "issuer", tm, jeton.Event{})
	if err != nil {
		t.Fatal(err)
	}

	return b.m.sessions[secret.HashOf(s.Secret.Reveal())]
}

// startChild starts a session of diane at the shop as the child of a sign-in session.
func (b *bench) startChild(t testing.TB, parent int64, lifetime time.Duration) (Started, error) {
	t.Helper()
	o := diane
	o.Parent = parent
	tm := terms
	tm.Lifetime = lifetime

	return b.Start(t.Context(), o, "shop", tm, jeton.Event{})
}

func TestAChildExpiresNoLaterThanItsParent(t *testing.T) {
	for _, tc := range []struct {
		name     string
		after    time.Duration // the sign-in, which is for 12 hours
		lifetime time.Duration // of the terms of the service
		want     time.Duration
	}{
		{"its terms are shorter", 0, time.Hour, time.Hour},
		{"its terms are as long", 0, 12 * time.Hour, 12 * time.Hour},
		{"its terms would end with the parent", 11 * time.Hour, time.Hour, time.Hour},
		{"its terms are longer", 4 * time.Hour, 24 * time.Hour, 8 * time.Hour},
		{"a second is left", 12*time.Hour - time.Second, time.Hour, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(64)
			parent := b.signIn(t, 12*time.Hour)
			b.now = noon.Add(tc.after)

			s, err := b.startChild(t, parent.Login, tc.lifetime)
			if err != nil {
				t.Fatal(err)
			}

			got := s.Ends.Sub(s.At)
			if got > tc.want || got < tc.want-tc.want/32 {
				t.Errorf("lifetime = %v, want %v, or a 32nd less", got, tc.want)
			}
			if b.m.last.Parent != parent.Login || !b.m.last.Expires.Equal(s.Ends) || s.Ends.After(parent.Expires) {
				t.Errorf("stored = %+v, want a child that ends at %v", b.m.last.Record, s.Ends)
			}
		})
	}
}

func TestAChildNeedsAnOpenParent(t *testing.T) {
	down := errors.New("down")

	for _, tc := range []struct {
		name   string
		change func(b *bench, parent Record)
		want   error
	}{
		{"the parent is open", func(*bench, Record) {}, nil},
		{"the parent is in its last minute", func(b *bench, _ Record) { b.now = noon.Add(59 * time.Minute) }, nil},
		{"the parent has expired", func(b *bench, _ Record) { b.now = noon.Add(time.Hour) }, jeton.ErrBadCredential},
		{"the parent has ended", func(b *bench, p Record) { delete(b.m.sessions, p.Hash) }, jeton.ErrBadCredential},
		{"the parent is idle", func(b *bench, p Record) {
			p.Idle = time.Minute
			b.m.sessions[p.Hash] = p
			b.now = noon.Add(time.Minute + flushEvery)
		}, jeton.ErrBadCredential},
		{"the parent may have been used since its last use was written", func(b *bench, p Record) {
			p.Idle = time.Minute
			b.m.sessions[p.Hash] = p
			b.now = noon.Add(time.Minute + flushEvery - time.Second)
		}, nil},
		{"the store does not answer", func(b *bench, _ Record) { b.m.fail = down }, down},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(64)
			parent := b.signIn(t, time.Hour)
			tc.change(b, parent)

			_, err := b.startChild(t, parent.Login, time.Hour)
			if !errors.Is(err, tc.want) {
				t.Errorf("Start = %v, want %v", err, tc.want)
			}
		})
	}
}

// TestChildrenShareTheClassesOfTheCache starts a child in every second of a sign-in session. If each had a
// lifetime of its own, the entries of the cache could not name them all.
func TestChildrenShareTheClassesOfTheCache(t *testing.T) {
	const lifetime = 12 * time.Hour
	b := newBench(1 << 17)
	parent := b.signIn(t, lifetime)

	lifetimes := map[time.Duration]bool{}
	for after := time.Duration(0); after < lifetime; after += 61 * time.Second {
		b.now = noon.Add(after).Add(123 * time.Millisecond)

		s, err := b.startChild(t, parent.Login, lifetime)
		if err != nil {
			t.Fatal(err)
		}

		b.live(t, s)
		if b.table.isOdd(secret.HashOf(s.Secret.Reveal())) {
			t.Fatalf("the child after %v is kept outside of the cache's entries, want inside", after)
		}
		lifetimes[s.Ends.Sub(s.At)] = true
	}

	if len(lifetimes) > 512 {
		t.Errorf("%d lifetimes, want at most 512 of the 4096 that the cache can name", len(lifetimes))
	}
}

func TestAProofIsReadFromTheStore(t *testing.T) {
	b := newBench(64)
	o := diane
	o.Methods, o.Proved = "pwd", noon

	s, err := b.Start(t.Context(), o, "shop", terms, jeton.Event{})
	if err != nil {
		t.Fatal(err)
	}
	shown := b.live(t, s) // is cached from now on

	at := noon.Add(time.Minute)
	renewed, err := b.Prove(t.Context(), shown, at, "pwd otp mfa", jeton.Event{Action: "proof"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.find(t, s); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("Find with the secret before the proof = %v, want ErrBadCredential", err)
	}
	if l := b.live(t, renewed); l.ID != s.ID || l.Login != shown.Login || !renewed.Ends.Equal(s.Ends) {
		t.Errorf("the session after the proof is %s until %v, want %s until %v", l.ID, renewed.Ends, s.ID, s.Ends)
	}
	if b.m.last.Event.Target != "session:"+s.ID || b.m.last.Event.Action != "proof" {
		t.Errorf("event = %+v, want the session as its target", b.m.last.Event)
	}

	got, err := b.Proved(t.Context(), s.ID)
	if err != nil || !got.Equal(at) {
		t.Errorf("Proved = %v, %v, want %v", got, err, at)
	}

	for _, id := range []string{"", "s_x"} {
		if _, err := b.Proved(t.Context(), id); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("Proved(%q) = %v, want ErrBadCredential", id, err)
		}
	}
	if _, err := b.Prove(t.Context(), shown, at, "", jeton.Event{}); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("Prove with the secret before the proof = %v, want ErrBadCredential", err)
	}
}

func TestAProofIsOfTheSecretThatIsShown(t *testing.T) {
	b := newBench(64)
	o := diane
	o.Methods, o.Proved = "pwd", noon
	s, err := b.Start(t.Context(), o, "shop", terms, jeton.Event{})
	if err != nil {
		t.Fatal(err)
	}
	live := b.live(t, s)

	for range 2 { // read, and cached
		got, err := b.Proof(t.Context(), live)
		if err != nil || !slices.Equal(got.Methods, []string{"pwd"}) || !got.At.Equal(noon) {
			t.Errorf("Proof = %v, %v, want pwd at %v", got, err, noon)
		}
	}

	at := noon.Add(time.Minute)
	renewed, err := b.Prove(t.Context(), live, at, "pwd otp mfa", jeton.Event{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Proof(t.Context(), b.live(t, renewed))
	if err != nil || !slices.Equal(got.Methods, []string{"pwd", "otp", "mfa"}) || !got.At.Equal(at) {
		t.Errorf("Proof after another one = %v, %v, want pwd otp mfa at %v", got, err, at)
	}

	unknown := &Live{}
	if _, err := b.Proof(t.Context(), unknown); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("Proof of no session = %v, want ErrBadCredential", err)
	}
	down := errors.New("down")
	b.m.fail = down
	if _, err := b.Proof(t.Context(), unknown); !errors.Is(err, down) {
		t.Errorf("Proof while the store is down = %v, want its error", err)
	}
}

func TestAListSaysHowUsersWereProved(t *testing.T) {
	b := newBench(64)
	o := diane
	o.Methods, o.Proved, o.Device.Agent = "pwd otp", noon, "Mozilla/5.0\x00 (X11)"
	if _, err := b.Start(t.Context(), o, "issuer", terms, jeton.Event{}); err != nil {
		t.Fatal(err)
	}

	list, _, err := b.List(t.Context(), Which{}, 9)
	if err != nil || len(list) != 1 {
		t.Fatalf("List = %v, %v, want one session", list, err)
	}

	got := list[0]
	if !slices.Equal(got.AMR, []string{"pwd", "otp"}) || !got.Proved.Equal(noon) || got.Agent != "Mozilla/5.0 (X11)" {
		t.Errorf("session = %+v, want amr pwd and otp, proved at %v, and the agent", got, noon)
	}
}

func TestAUserAgentIsShortPrintableAndWithoutSecrets(t *testing.T) {
	long := strings.Repeat("ü", 150)

	for _, tc := range []struct{ name, text, want string }{
		{"a usual one", "Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"},
		{"none", "", ""},
		{"control characters", "a\r\nb\x1b[31mc\x00", "ab[31mc"},
		{"bytes that are no text", "a\xffb", "ab"},
		{"a secret", "curl jtn_p_abcdefgh", "curl [secret]"},
		{"a long one", long, long[:maxAgent]},
		{"a long one that would be cut inside a character", "x" + long, "x" + long[:maxAgent-2]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := cleanAgent(tc.text)
			if got != tc.want {
				t.Errorf("cleanAgent(%q) = %q, want %q", tc.text, got, tc.want)
			}
		})
	}
}

func TestAFamilyNeedsAnID(t *testing.T) {
	b := newBench(64)
	_, err := b.End(t.Context(), Which{User: "diane", Family: true}, jeton.Event{})
	if !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("End of a family without an id = %v, want ErrInvalid", err)
	}
}
