package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/session"
)

// Factors is the contract of factor.Store.
func Factors(t *testing.T, open Open) {
	each(t, open, []test{
		{"a factor is kept as it was added", factorIsKept},
		{"a factor is confirmed once, in time, by its user", factorIsConfirmed},
		{"a counter is used once and never goes back", factorIsUsedOnce},
		{"without Once a use is stored, and the counter does not go back", factorIsUsed},
		{"of many uses at once, one is accepted", factorRace},
		{"a user with an app has no new session of one factor", secondFactorStarts},
		{"codes are replaced together", factorsAreReplaced},
		{"a user has a limited number of a kind", factorLimit},
		{"a removed factor is gone, and codes end with the last one", factorIsRemoved},
		{"the last way to sign in stays", lastWayStays},
		{"factors end with their user", factorsEndWithUser},
		{"of one recovery code at once, one adds an app", oneCodeAddsOneApp},
		{"a session that has ended changes no factor", endedSessionChangesNoFactor},
		{"a sign-in that has ended confirms no factor", endedSignInConfirmsNoFactor},
		{"attempts are counted one after another, until a use", attemptsAreCounted},
		{"a sweep deletes what was not confirmed", factorsAreSwept},
		{"passkeys keep their relying party", passkeysKeepTheirParty},
	})
}

// newFactor returns a confirmed factor of a user.
func newFactor(u account.Account, k factor.Kind, id string) factor.Factor {
	f := factor.Factor{
		ID:        id,
		User:      u.ID,
		Kind:      k,
		Name:      "name of " + id,
		Created:   noon,
		Confirmed: noon,
		Secret:    []byte("secret of " + id),
	}
	if k != factor.TOTP {
		f.Handle = []byte("handle of " + id)
	}

	return f
}

// addFactor adds a factor without an event.
func addFactor(t *testing.T, s Store, f factor.Factor) {
	t.Helper()
	must(t, s.AddFactor(t.Context(), f, "", nil))
}

// onceOf returns the only use of a counter.
func onceOf(u account.Account, id string, counter int64) factor.Use {
	return factor.Use{
		User:    u.ID,
		ID:      id,
		Counter: counter,
		At:      noon,
		Once:    true,
	}
}

// factorIDs returns the factors of a user.
func factorIDs(t *testing.T, s Store, u account.Account) []string {
	t.Helper()
	list, err := s.ListFactors(t.Context(), u.ID)
	must(t, err)

	names := []string{}
	for _, f := range list {
		names = append(names, f.ID)
	}

	return names
}

func factorIsKept(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	want := factor.Factor{
		ID:         "f_1",
		User:       diane.ID,
		Kind:       factor.Passkey,
		Name:       "laptop",
		Created:    noon,
		Confirmed:  noon.Add(time.Second),
		Used:       noon.Add(time.Minute),
		Handle:     []byte{0, 0xff},
		Secret:     []byte{1, 0},
		Counter:    1 << 40,
		Flags:      0x1d,
		Transports: "internal hybrid",
		Model:      "08987058-cadc-4b81-b6e1-30de50dcbe96",
	}
	ev := event(audit.FactorAdd, "user:diane")
	must(t, s.AddFactor(t.Context(), want, "", &ev))

	got, err := s.FindFactor(t.Context(), factor.Passkey, want.Handle)
	must(t, err)
	same(t, "FindFactor", got, want)
	_, err = s.FindFactor(t.Context(), factor.Recovery, want.Handle)
	wants(t, "FindFactor of another kind", err, jeton.ErrNotFound)

	bare := factor.Factor{
		ID:      "f_2",
		User:    diane.ID,
		Kind:    factor.TOTP,
		Created: noon.Add(time.Hour),
		Secret:  []byte("sealed"),
	}
	addFactor(t, s, bare)
	list, err := s.ListFactors(t.Context(), diane.ID)
	must(t, err)
	same(t, "ListFactors", list, []factor.Factor{want, bare})
	same(t, "factors of another user", factorIDs(t, s, ben), []string{})

	again := newFactor(ben, factor.Passkey, "f_3")
	again.Handle = want.Handle
	wants(t, "a handle that exists", s.AddFactor(t.Context(), again, "", nil), jeton.ErrConflict)
	wants(t, "of no user", s.AddFactor(t.Context(), factor.Factor{ID: "f_4", User: 4711}, "", nil), jeton.ErrNotFound)

	renamed := event(audit.FactorChange, "user:diane")
	must(t, s.RenameFactor(t.Context(), diane.ID, "f_1", "telephone", &renamed))
	wants(t, "renaming that of another user", s.RenameFactor(t.Context(), ben.ID, "f_1", "x", nil), jeton.ErrNotFound)
	got, err = s.FindFactor(t.Context(), factor.Passkey, want.Handle)
	must(t, err)
	same(t, "name", got.Name, "telephone")
	same(t, "the end of the audit log", auditLog(t, s)[2:], []string{
		"factor.add user:diane", "factor.change user:diane",
	})
}

func factorIsConfirmed(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	f := newFactor(diane, factor.TOTP, "f_1")
	f.Confirmed = time.Time{}
	addFactor(t, s, f)

	confirm := func(u account.Account, id string, after time.Time) error {
		ev := event(audit.FactorAdd, "user:"+u.Name)
		return s.ConfirmFactor(t.Context(), factor.Use{
			User:    u.ID,
			ID:      id,
			Counter: 5,
			At:      noon.Add(time.Minute),
			Keep:    "s_kept",
		}, after, &ev)
	}

	early := noon.Add(-time.Second)
	use := onceOf(diane, "f_1", 6)
	wants(t, "a use before it is confirmed", s.UseFactor(t.Context(), use, nil), jeton.ErrNotFound)
	wants(t, "too late", confirm(diane, "f_1", noon), jeton.ErrNotFound)
	wants(t, "by another user", confirm(ben, "f_1", early), jeton.ErrNotFound)

	// A second one replaces the first, which was not confirmed.
	f.ID = "f_2"
	addFactor(t, s, f)
	wants(t, "one that was replaced", confirm(diane, "f_1", early), jeton.ErrNotFound)

	for id, u := range map[string]account.Account{"kept": diane, "ended": diane, "of ben": ben} {
		must(t, s.StartSession(t.Context(), newLogin(u, "shop", id, noon), acceptLogin))
	}
	must(t, confirm(diane, "f_2", early))
	wants(t, "a second time", confirm(diane, "f_2", early), jeton.ErrNotFound)

	for u, want := range map[string][]string{"diane": {"s_kept"}, "ben": {"s_of ben"}} {
		left, err := s.ListSessions(t.Context(), session.Which{User: u}, 9)
		must(t, err)
		ids := []string{}
		for _, one := range left {
			ids = append(ids, one.ID)
		}
		same(t, "sessions of "+u, ids, want)
	}
	log := auditLog(t, s)
	same(t, "the end of the audit log", log[len(log)-2:], []string{"factor.add user:diane", "session.end user:diane"})

	f.ID = "f_3"
	addFactor(t, s, f)
	list, err := s.ListFactors(t.Context(), diane.ID)
	must(t, err)
	f.ID, f.Confirmed, f.Counter = "f_2", noon.Add(time.Minute), 5
	same(t, "the confirmed one", list[0], f)
	same(t, "all of them", factorIDs(t, s, diane), []string{"f_2", "f_3"})
}

func factorIsUsedOnce(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	addFactor(t, s, newFactor(diane, factor.TOTP, "f_1"))

	for _, tc := range []struct {
		name    string
		user    int64
		id      string
		counter int64
		want    error
	}{
		{"the first", diane.ID, "f_1", 10, nil},
		{"again", diane.ID, "f_1", 10, jeton.ErrSpent},
		{"an earlier one", diane.ID, "f_1", 9, jeton.ErrSpent},
		{"a later one", diane.ID, "f_1", 11, nil},
		{"of another user", ben.ID, "f_1", 12, jeton.ErrNotFound},
		{"of no factor", diane.ID, "f_2", 12, jeton.ErrNotFound},
	} {
		err := s.UseFactor(t.Context(), factor.Use{
			User:    tc.user,
			ID:      tc.id,
			Counter: tc.counter,
			At:      noon.Add(time.Minute),
			Once:    true,
		}, nil)
		wants(t, tc.name, err, tc.want)
	}

	list, err := s.ListFactors(t.Context(), diane.ID)
	must(t, err)
	same(t, "counter", list[0].Counter, int64(11))
	same(t, "last use", list[0].Used, noon.Add(time.Minute))
}

func factorIsUsed(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	f := newFactor(diane, factor.Passkey, "f_1")
	f.Counter, f.Flags = 7, 5
	addFactor(t, s, f)

	must(t, s.UseFactor(t.Context(), factor.Use{User: diane.ID, ID: "f_1", At: noon.Add(time.Hour)}, nil))
	must(t, s.UseFactor(t.Context(), factor.Use{
		User:    diane.ID,
		ID:      "f_1",
		Counter: 6,
		Flags:   29,
		At:      noon.Add(time.Hour),
	}, nil))

	f.Flags, f.Used = 29, noon.Add(time.Hour)
	got, err := s.FindFactor(t.Context(), factor.Passkey, f.Handle)
	must(t, err)
	same(t, "FindFactor", got, f)
}

func factorRace(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	addFactor(t, s, newFactor(diane, factor.TOTP, "f_1"))
	ev := event(audit.FactorUse, "user:diane")

	var wg sync.WaitGroup
	var accepted atomic.Int64
	for range 16 {
		wg.Go(func() {
			err := s.UseFactor(t.Context(), onceOf(diane, "f_1", 3), &ev)
			if err == nil {
				accepted.Add(1)
			} else if !errors.Is(err, jeton.ErrSpent) {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	if n := accepted.Load(); n != 1 {
		t.Errorf("%d uses were accepted, want 1", n)
	}
	same(t, "the end of the audit log", auditLog(t, s)[1:], []string{"factor.use user:diane"})
}

func factorsAreReplaced(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	addFactor(t, s, newFactor(diane, factor.TOTP, "f_0"))
	replace := func(ids ...string) error {
		var list []factor.Factor
		for _, id := range ids {
			list = append(list, newFactor(diane, factor.Recovery, id))
		}
		ev := event(audit.FactorCodes, "user:diane")
		return s.ReplaceFactors(t.Context(), factor.Owner{ID: diane.ID}, factor.Recovery, list, &ev)
	}

	must(t, replace("f_1", "f_2"))
	must(t, replace("f_3", "f_4"))
	wants(t, "one twice", replace("f_5", "f_5"), jeton.ErrConflict)
	same(t, "factors", factorIDs(t, s, diane), []string{"f_0", "f_3", "f_4"})
	same(t, "the end of the audit log", auditLog(t, s)[1:], []string{
		"factor.codes user:diane", "factor.codes user:diane",
	})
}

func factorLimit(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	for i := range factor.MaxPerKind {
		addFactor(t, s, newFactor(diane, factor.Passkey, "f_"+string(rune('a'+i))))
	}

	err := s.AddFactor(t.Context(), newFactor(diane, factor.Passkey, "f_z"), "", nil)
	wants(t, "one more", err, jeton.ErrConflict)
	addFactor(t, s, newFactor(diane, factor.TOTP, "f_z"))
}

func factorIsRemoved(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	fill := func() {
		addFactor(t, s, newFactor(diane, factor.TOTP, "f_1"))
		addFactor(t, s, newFactor(diane, factor.Passkey, "f_2"))
		addFactor(t, s, newFactor(diane, factor.Recovery, "f_3"))
	}
	remove := func(u account.Account, w factor.Which) int {
		ev := event(audit.FactorRemove, "user:"+u.Name)
		n, err := s.RemoveFactors(t.Context(), u.ID, w, &ev)
		must(t, err)

		return n
	}

	fill()
	same(t, "those of another user", remove(ben, factor.Which{ID: "f_1"}), 0)
	same(t, "the zero value", remove(diane, factor.Which{}), 0)
	changes := subscribe(s)
	same(t, "one", remove(diane, factor.Which{ID: "f_1"}), 1)
	// What is cached of the user says that a password alone is not enough.
	same(t, "users whose caches end", changes.users(), []int64{diane.ID})
	same(t, "factors", factorIDs(t, s, diane), []string{"f_2", "f_3"})
	same(t, "the last one", remove(diane, factor.Which{Kind: factor.Passkey}), 1)
	same(t, "factors", factorIDs(t, s, diane), []string{})

	fill()
	same(t, "all", remove(diane, factor.Which{All: true}), 3)
	same(t, "none", remove(diane, factor.Which{All: true}), 0)
	same(t, "the end of the audit log", auditLog(t, s)[2:], []string{
		"factor.remove user:diane", "factor.remove user:diane", "factor.remove user:diane",
	})
}

func factorsEndWithUser(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	f := newFactor(diane, factor.Passkey, "f_1")
	addFactor(t, s, f)
	must(t, s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane")))

	_, err := s.FindFactor(t.Context(), factor.Passkey, f.Handle)
	wants(t, "FindFactor", err, jeton.ErrNotFound)
	err = s.TakeAttempt(t.Context(), diane.ID, func(a factor.Attempts) (factor.Attempts, error) { return a, nil })
	wants(t, "TakeAttempt", err, jeton.ErrNotFound)
}

func oneCodeAddsOneApp(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	addFactor(t, s, newFactor(diane, factor.Recovery, "f_code"))
	addFactor(t, s, newFactor(diane, factor.Recovery, "f_other"))

	var wg sync.WaitGroup
	var added atomic.Value
	for i := range 8 {
		wg.Go(func() {
			app := newFactor(diane, factor.TOTP, fmt.Sprint("f_app", i))
			app.Confirmed = time.Time{}
			ev := event(audit.FactorUse, "user:diane")
			err := s.AddByCode(t.Context(), onceOf(diane, "f_code", 1), app, &ev)
			if err == nil {
				added.Store(app.ID)
			} else if !errors.Is(err, jeton.ErrSpent) {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	id, _ := added.Load().(string)
	same(t, "factors", factorIDs(t, s, diane), slices.Sorted(slices.Values([]string{"f_code", "f_other", id})))

	// A code that adds nothing stays.
	app := newFactor(diane, factor.TOTP, "f_other")
	err := s.AddByCode(t.Context(), onceOf(diane, "f_other", 1), app, nil)
	wants(t, "an id that exists", err, jeton.ErrConflict)
	must(t, s.UseFactor(t.Context(), onceOf(diane, "f_other", 1), nil))
}

func endedSessionChangesNoFactor(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	waitingApp(t, s, diane, "f_app")
	addFactor(t, s, newFactor(diane, factor.Recovery, "f_code"))
	for id, u := range map[string]account.Account{"open": diane, "ended": diane, "of ben": ben} {
		must(t, s.StartSession(t.Context(), newLogin(u, "shop", id, noon), acceptLogin))
	}
	_, err := s.EndSessions(t.Context(), session.Which{ID: "s_ended"}, event(audit.SessionEnd, "user:diane"))
	must(t, err)

	events := len(auditLog(t, s))
	for _, id := range []string{"s_ended", "s_of ben", "s_never"} {
		ev := event(audit.FactorAdd, "user:diane")
		err := s.AddFactor(t.Context(), newFactor(diane, factor.Passkey, "f_key"), id, &ev)
		wants(t, "AddFactor in "+id, err, jeton.ErrExpired)
		err = s.ReplaceFactors(t.Context(), factor.Owner{ID: diane.ID, Session: id}, factor.Recovery, nil, &ev)
		wants(t, "ReplaceFactors in "+id, err, jeton.ErrExpired)
		err = s.ConfirmFactor(t.Context(), confirming(diane, "f_app", id), noon.Add(-time.Hour), &ev)
		wants(t, "ConfirmFactor in "+id, err, jeton.ErrExpired)
	}
	same(t, "factors", factorIDs(t, s, diane), []string{"f_app", "f_code"})
	same(t, "new events", len(auditLog(t, s))-events, 0)

	ev := event(audit.FactorAdd, "user:diane")
	must(t, s.AddFactor(t.Context(), newFactor(diane, factor.Passkey, "f_key"), "s_open", &ev))
	must(t, s.ConfirmFactor(t.Context(), confirming(diane, "f_app", "s_open"), noon.Add(-time.Hour), &ev))
}

func attemptsAreCounted(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	addFactor(t, s, newFactor(diane, factor.TOTP, "f_1"))

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			err := s.TakeAttempt(t.Context(), diane.ID, func(a factor.Attempts) (factor.Attempts, error) {
				a.Failed++
				a.Ready = noon.Add(time.Duration(a.Failed) * time.Minute)
				return a, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	// seen returns the attempts, and changes nothing.
	seen := func() (got factor.Attempts) {
		err := s.TakeAttempt(t.Context(), diane.ID, func(a factor.Attempts) (factor.Attempts, error) {
			got = a
			return factor.Attempts{Failed: 99}, jeton.ErrTooMany
		})
		wants(t, "TakeAttempt", err, jeton.ErrTooMany)

		return got
	}

	want := factor.Attempts{Failed: 8, Ready: noon.Add(8 * time.Minute)}
	same(t, "attempts", seen(), want)
	same(t, "attempts after a refusal", seen(), want)
	must(t, s.UseFactor(t.Context(), onceOf(diane, "f_1", 1), nil))
	same(t, "attempts after a use", seen(), factor.Attempts{})
}

func factorsAreSwept(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	addFactor(t, s, newFactor(diane, factor.TOTP, "f_1"))
	for _, f := range []factor.Factor{newFactor(diane, factor.TOTP, "f_2"), newFactor(ben, factor.TOTP, "f_3")} {
		f.Confirmed = time.Time{}
		addFactor(t, s, f)
	}

	n, err := s.SweepFactors(t.Context(), noon, 9)
	must(t, err)
	same(t, "swept at the time of the first", n, 0)
	n, err = s.SweepFactors(t.Context(), noon.Add(time.Second), 1)
	must(t, err)
	same(t, "swept with a limit", n, 1)
	n, err = s.SweepFactors(t.Context(), noon.Add(time.Second), 9)
	must(t, err)
	same(t, "swept", n, 1)
	same(t, "factors", factorIDs(t, s, diane), []string{"f_1"})
}

func passkeysKeepTheirParty(t *testing.T, s Store) {
	claim := func(id, party string, passkeys int) {
		t.Helper()
		got, n, err := s.ClaimParty(t.Context(), id)
		must(t, err)
		if got != party || n != passkeys {
			t.Errorf("ClaimParty(%s) = %s, %d, want %s, %d", id, got, n, party, passkeys)
		}
	}

	claim("login.example", "login.example", 0)
	claim("www.example", "www.example", 0)

	u := user(t, s, "diane")
	addFactor(t, s, newFactor(u, factor.TOTP, "f_1"))
	claim("login.example", "login.example", 0)

	addFactor(t, s, newFactor(u, factor.Passkey, "f_2"))
	claim("login.example", "login.example", 0)
	claim("www.example", "login.example", 1)
}
