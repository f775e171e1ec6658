package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// Notices checks which sign-ins and new credentials users learn of, and what the link of a notice ends.
func Notices(t *testing.T, open Open) {
	each(t, open, []test{
		{"a sign-in with a device that is not known sends a notice", noticesOfDevices},
		{"a login without a session does so in a network that is not known", noticesOfNetworks},
		{"a session of a sign-in session, and one without a mailer, sends none", noNoticesOfDevices},
		{"a user has a limited number of devices", devicesLimited},
		{"a new token, another secret of one or an identity sends a notice", noticesOfCredentials},
		{"no device is known after a new password", devicesEnd},
		{"a device is known to the user who has signed in with it, for a time", devicesKnown},
		{"the link of a notice ends everything of its user, once", noticeEnds},
		{"the link of a notice ends the identities that were connected since", noticeEndsIdentities},
		{"of many uses of the link of a notice, one succeeds", noticeRace},
		{"the link of a notice outlives what an attacker does", noticeLives},
		{"a recovery that is not by the user ends the links of earlier notices", recoveryEndsLinks},
		{"of many links of notices at once, none ends the first", linksRace},
		{"a user gets a limited number of notices, and those of the account's own always", noticesLimited},
	})
}

// withDevice returns a login with a device; "": with none.
func withDevice(in session.Start, device string) session.Start {
	if device != "" {
		in.Device = secret.HashOf(device)
	}

	return in
}

// wantMails checks the kinds of the mails that are due, in the order of the alphabet, and drops them.
func wantMails(t *testing.T, s Store, what string, want ...mail.Kind) {
	t.Helper()

	kinds := []mail.Kind{}
	for _, m := range claimedMails(t, s, noon.Add(10*session.DeviceLifetime)) {
		kinds = append(kinds, m.Kind)
		must(t, s.DropMail(t.Context(), m.ID))
	}
	// Those of one millisecond have no order.
	slices.Sort(kinds)
	same(t, "mails about "+what, kinds, append([]mail.Kind{}, want...))
}

func noticesOfDevices(t *testing.T, s Store) {
	diane := addressed(t, s)
	eric := user(t, s, "eric")
	s.SendNotices(true)

	noticed := []mail.Kind{mail.Device}
	for i, step := range []struct {
		name    string
		after   time.Duration
		device  string
		network string
		want    []mail.Kind
	}{
		{"the first device", 0, "laptop", "n1", noticed},
		{"the same device", time.Hour, "laptop", "n1", nil},
		{"the same device in another network", 2 * time.Hour, "laptop", "n2", nil},
		{"another device in a known network", 3 * time.Hour, "phone", "n1", noticed},
		{"no device, in a known network", 4 * time.Hour, "", "n1", nil},
		{"no device, in another network", 5 * time.Hour, "", "n3", noticed},
		{"no device, in that network again", 6 * time.Hour, "", "n3", nil},
		{"a device that was not used for long", 7*time.Hour + session.DeviceLifetime, "phone", "n1", noticed},
		{"that device again", 8*time.Hour + session.DeviceLifetime, "phone", "n1", nil},
	} {
		in := newLogin(diane, "issuer", fmt.Sprint("s", i), noon.Add(step.after))
		in.Network = step.network
		started(t, s, withDevice(in, step.device))
		wantMails(t, s, step.name, step.want...)
	}

	// Users who share a browser are not known in it by the sign-in of the other. Eric has no address.
	started(t, s, withDevice(newLogin(eric, "issuer", "eric", noon), "tablet"))
	started(t, s, withDevice(newLogin(diane, "issuer", "shared", noon.Add(time.Hour)), "tablet"))
	wantMails(t, s, "a device that another user has used", mail.Device)
}

func noticesOfNetworks(t *testing.T, s Store) {
	diane := addressed(t, s)
	s.SendNotices(true)

	noticed := []mail.Kind{mail.Device}
	for _, step := range []struct {
		name    string
		after   time.Duration
		network string
		want    []mail.Kind
	}{
		{"the first network", 0, "n1", noticed},
		{"the same network", time.Hour, "n1", nil},
		{"another network", 2 * time.Hour, "n2", noticed},
		{"a network of long ago", 2*time.Hour + session.DeviceLifetime, "n1", noticed},
	} {
		ev := event(audit.Login, "user:diane")
		ev.Time = noon.Add(step.after)
		must(t, s.AddSource(t.Context(), diane.ID, diane.Version, step.network, ev))
		wantMails(t, s, step.name, step.want...)
	}

	ev := event(audit.Login, "user:diane")
	err := s.AddSource(t.Context(), diane.ID, diane.Version-1, "n3", ev)
	wants(t, "after a change of the credential", err, jeton.ErrBadCredential)
	wantMails(t, s, "a credential that has changed")
}

func noNoticesOfDevices(t *testing.T, s Store) {
	diane := addressed(t, s)

	s.SendNotices(false)
	parent := started(t, s, withDevice(newLogin(diane, "issuer", "one", noon), "laptop"))
	s.SendNotices(true)
	wantMails(t, s, "a sign-in without a mailer")

	child := newLogin(diane, "shop", "child", noon)
	child.Parent, child.Network = parent.Login, "elsewhere"
	started(t, s, child)
	wantMails(t, s, "a session of a sign-in session")

	started(t, s, withDevice(newLogin(diane, "issuer", "two", noon.Add(time.Hour)), "laptop"))
	wantMails(t, s, "a device that was used before there was a mailer")
}

func devicesLimited(t *testing.T, s Store) {
	diane := addressed(t, s)
	s.SendNotices(true)

	for i := range session.MaxDevices + 1 {
		name := fmt.Sprint("d", i)
		started(t, s, withDevice(newLogin(diane, "issuer", name, noon.Add(time.Duration(i)*time.Minute)), name))
		wantMails(t, s, name, mail.Device)
	}

	later := noon.Add(time.Hour)
	started(t, s, withDevice(newLogin(diane, "issuer", "known", later), "d1"))
	wantMails(t, s, "the second of the devices")
	started(t, s, withDevice(newLogin(diane, "issuer", "forgotten", later), "d0"))
	wantMails(t, s, "the first of one device too many", mail.Device)
}

func devicesEnd(t *testing.T, s Store) {
	diane := addressed(t, s)
	s.SendNotices(true)

	started(t, s, withDevice(newLogin(diane, "issuer", "before", noon), "laptop"))
	wantMails(t, s, "the first device", mail.Device)

	hash := "another"
	changed := account.Change{Password: &hash}
	must(t, s.ChangeUser(t.Context(), "diane", changed, noon, event(audit.UserPassword, "user:diane")))
	wantMails(t, s, "the new password", mail.Password)

	diane, err := s.FindUser(t.Context(), "diane")
	must(t, err)
	started(t, s, withDevice(newLogin(diane, "issuer", "after", noon.Add(time.Hour)), "laptop"))
	wantMails(t, s, "the device after it", mail.Device)
}

// devicesKnown is about what the throttle asks.
func devicesKnown(t *testing.T, s Store) {
	diane, eric := user(t, s, "diane"), user(t, s, "eric")
	started(t, s, withDevice(newLogin(diane, "issuer", "one", noon), "laptop"))
	started(t, s, newLogin(eric, "issuer", "two", noon))

	for _, tc := range []struct {
		name   string
		user   int64
		device string
		since  time.Time
		want   bool
	}{
		{"the device", diane.ID, "laptop", noon.Add(-1), true},
		{"another device", diane.ID, "phone", noon.Add(-1), false},
		{"the device of another user", eric.ID, "laptop", noon.Add(-1), false},
		{"the device for no account", 0, "laptop", noon.Add(-1), false},
		{"a device that was not used since", diane.ID, "laptop", noon.Add(time.Second), false},
	} {
		known, err := s.KnownDevice(t.Context(), tc.user, secret.HashOf(tc.device), tc.since)
		must(t, err)
		same(t, tc.name, known, tc.want)
	}
}

func noticesOfCredentials(t *testing.T, s Store) {
	diane := addressed(t, s)
	s.SendNotices(true)

	r := minted(t, s, personal(diane, "one", 0))
	wantMails(t, s, "a personal token", mail.Token)

	child := personal(diane, "two", r.Number)
	child.Shown = r.Hash
	minted(t, s, child)
	wantMails(t, s, "a token of a token")

	rotated := token.Rotation{Accessor: r.Accessor, Fresh: secret.HashOf("three")}
	_, err := s.RotateToken(t.Context(), rotated, event(audit.TokenRotate, "token:"+r.Accessor))
	must(t, err)
	wantMails(t, s, "another secret of a token", mail.Token)

	must(t, connect(t, s, diane, identity("1")))
	wantMails(t, s, "an identity", mail.Identity)
	must(t, s.RemoveIdentity(t.Context(), diane.ID, removal(provider, ""), event(audit.IdentityRemove, "user:diane")))
	wantMails(t, s, "an identity that is removed", mail.Identity)
}

// linked adds a mail, as of a notice to a user, with a link that is valid until a time, and returns the hash of that.
func linked(t *testing.T, s Store, user int64, text string, expires time.Time) secret.Hash {
	t.Helper()
	m := newMail(t)
	must(t, s.AddMail(t.Context(), m, event(audit.MailSend, "")))

	h := secret.HashOf(text)
	must(t, s.AddMailLink(t.Context(), m.ID, h, ticket.Ticket{
		Purpose: ticket.NotMe,
		Subject: user,
		Expires: expires,
	}))

	return h
}

func noticeEnds(t *testing.T, s Store) {
	diane, eric := addressed(t, s), user(t, s, "eric")
	s.SendNotices(true)

	own := started(t, s, withDevice(newLogin(diane, "issuer", "one", noon), "laptop"))
	others := started(t, s, newLogin(eric, "issuer", "two", noon))
	tok := minted(t, s, personal(diane, "three", 0))
	recovery := newTicket(ticket.Recover)
	recovery.Subject = diane.ID
	pending := added(t, s, "pending", recovery)
	wantMails(t, s, "the start", mail.Device, mail.Token)

	h := linked(t, s, diane.ID, "link", noon.Add(time.Hour))
	ev := event(audit.UserNotMe, "user:diane")
	wants(t, "after its time", s.EndByNotice(t.Context(), h, noon.Add(time.Hour), ev), jeton.ErrNotFound)
	must(t, s.EndByNotice(t.Context(), h, noon, ev))
	wants(t, "a second time", s.EndByNotice(t.Context(), h, noon, ev), jeton.ErrSpent)

	_, err := s.FindSession(t.Context(), own.Hash)
	wants(t, "a session of the user", err, jeton.ErrNotFound)
	_, err = s.FindToken(t.Context(), tok.Hash)
	wants(t, "a token of the user", err, jeton.ErrNotFound)
	_, err = s.FindTicket(t.Context(), ticket.Recover, pending, noon)
	wants(t, "a link of the user", err, jeton.ErrNotFound)
	_, err = s.FindSession(t.Context(), others.Hash)
	must(t, err)

	// A sign-in that was under way with the credential from before does not come through.
	late := s.StartSession(t.Context(), newLogin(diane, "issuer", "late", noon), acceptLogin)
	wants(t, "a sign-in that was under way", late, jeton.ErrBadCredential)

	now, err := s.FindUser(t.Context(), "diane")
	must(t, err)
	started(t, s, withDevice(newLogin(now, "issuer", "again", noon), "laptop"))
	kinds := map[mail.Kind]bool{}
	for _, m := range claimedMails(t, s, noon) {
		kinds[m.Kind] = true
	}
	if !kinds[mail.Device] {
		t.Errorf("a sign-in with a device from before sent %v, want a notice", kinds)
	}
}

// noticeEndsIdentities has a user who was made with an identity an hour ago, and to whom others were connected.
func noticeEndsIdentities(t *testing.T, s Store) {
	diane, eric := addressed(t, s), user(t, s, "eric")
	for issuer, created := range map[string]time.Time{
		"https://first.example":  diane.Created,
		"https://before.example": noon.Add(-2 * time.Minute),
		"https://event.example":  noon.Add(-time.Second),
		"https://later.example":  noon.Add(time.Hour),
	} {
		must(t, connect(t, s, diane, account.Identity{Issuer: issuer, Subject: "1", Created: created}))
		must(t, connect(t, s, eric, account.Identity{Issuer: issuer, Subject: "2", Created: created}))
	}

	left := func(u account.Account) (issuers []string) {
		list, err := s.ListIdentities(t.Context(), u.ID)
		must(t, err)
		for _, i := range list {
			issuers = append(issuers, i.Issuer)
		}
		return issuers
	}
	end := func(link string, event time.Time) {
		t.Helper()
		h := linked(t, s, diane.ID, link, event.Add(mail.LinkLifetime))
		ev := jeton.Event{Action: audit.UserNotMe, Target: "user:diane", Outcome: audit.OK}
		must(t, s.EndByNotice(t.Context(), h, noon.Add(2*time.Hour), ev))
	}

	end("of noon", noon)
	same(t, "after a notice of noon", left(diane), []string{"https://before.example", "https://first.example"})
	log := auditLog(t, s)
	same(t, "the end of the audit log", log[len(log)-2:], []string{
		"user.disconnect user:diane", "user.not-me user:diane",
	})
	end("of the sign-up", diane.Created)
	same(t, "after a notice of the sign-up", left(diane), []string{"https://first.example"})
	same(t, "identities of eric", len(left(eric)), 4)
}

func noticeRace(t *testing.T, s Store) {
	diane := addressed(t, s)
	h := linked(t, s, diane.ID, "link", noon.Add(time.Hour))

	var all sync.WaitGroup
	var done atomic.Int32
	for range 8 {
		all.Go(func() {
			err := s.EndByNotice(t.Context(), h, noon, event(audit.UserNotMe, "user:diane"))
			if err == nil {
				done.Add(1)
			} else {
				wants(t, "one too many", err, jeton.ErrSpent)
			}
		})
	}
	all.Wait()

	if done.Load() != 1 {
		t.Errorf("%d uses succeeded, want 1", done.Load())
	}
}

func noticeLives(t *testing.T, s Store) {
	diane := addressed(t, s)
	first := linked(t, s, diane.ID, "first", noon.Add(time.Hour))
	second := linked(t, s, diane.ID, "second", noon.Add(2*time.Hour))

	// An attacker who has taken over the account changes the credential, which ends other links.
	hash := "another"
	taken := account.Change{Password: &hash}
	must(t, s.ChangeUser(t.Context(), "diane", taken, noon, event(audit.UserPassword, "user:diane")))

	// A later notice may have gone to the attacker, and its use ends none of the owner.
	ev := event(audit.UserNotMe, "user:diane")
	third := linked(t, s, diane.ID, "third", noon.Add(3*time.Hour))
	must(t, s.EndByNotice(t.Context(), second, noon, ev))
	wants(t, "a later link", s.EndByNotice(t.Context(), third, noon, ev), jeton.ErrNotFound)
	must(t, s.EndByNotice(t.Context(), first, noon, ev))

	// Notices beyond the limit have no link, and end none either.
	kept := linked(t, s, diane.ID, "kept", noon.Add(time.Hour))
	for i := range ticket.MaxPerUser - 3 {
		linked(t, s, diane.ID, fmt.Sprint("more ", i), noon.Add(2*time.Hour))
	}
	m := newMail(t)
	must(t, s.AddMail(t.Context(), m, event(audit.MailSend, "")))
	tooMany := s.AddMailLink(t.Context(), m.ID, secret.HashOf("too many"), ticket.Ticket{
		Purpose: ticket.NotMe,
		Subject: diane.ID,
		Expires: noon.Add(2 * time.Hour),
	})
	wants(t, "one link too many", tooMany, jeton.ErrTooMany)
	must(t, s.EndByNotice(t.Context(), kept, noon, ev))
}

func linksRace(t *testing.T, s Store) {
	diane := addressed(t, s)
	first := linked(t, s, diane.ID, "first", noon.Add(time.Hour))
	for i := range ticket.MaxPerUser - 4 {
		linked(t, s, diane.ID, fmt.Sprint("more ", i), noon.Add(2*time.Hour))
	}

	var all sync.WaitGroup
	var added atomic.Int32
	for i := range 16 {
		m := newMail(t)
		must(t, s.AddMail(t.Context(), m, event(audit.MailSend, "")))
		all.Go(func() {
			err := s.AddMailLink(t.Context(), m.ID, secret.HashOf(fmt.Sprint("at once ", i)), ticket.Ticket{
				Purpose: ticket.NotMe,
				Subject: diane.ID,
				Expires: noon.Add(3 * time.Hour),
			})
			if err == nil {
				added.Add(1)
			} else {
				wants(t, "one too many", err, jeton.ErrTooMany)
			}
		})
	}
	all.Wait()

	if added.Load() != 3 {
		t.Errorf("%d links were added, want 3", added.Load())
	}
	must(t, s.EndByNotice(t.Context(), first, noon, event(audit.UserNotMe, "user:diane")))
}

func noticesLimited(t *testing.T, s Store) {
	diane, eric := addressed(t, s), user(t, s, "eric")
	s.SendNotices(true)
	signIn := func(name string, at time.Time) {
		t.Helper()
		in := withDevice(newLogin(diane, "issuer", name, at), name)
		in.Event.Time = at
		started(t, s, in)
	}
	full := slices.Repeat([]mail.Kind{mail.Device}, mail.MaxNotices)

	// As many wait.
	for i := range mail.MaxNotices + 2 {
		signIn(fmt.Sprint("waiting ", i), noon)
	}
	minted(t, s, personal(diane, "one", 0))
	must(t, connect(t, s, diane, identity("1")))
	wantMails(t, s, "too many devices", full...)

	// As many had a link within the hour, of this user.
	for i := range mail.MaxNotices {
		linked(t, s, diane.ID, fmt.Sprint("link ", i), noon.Add(mail.LinkLifetime))
		linked(t, s, eric.ID, fmt.Sprint("other ", i), noon.Add(mail.LinkLifetime+2*time.Hour))
	}
	for _, m := range claimedMails(t, s, noon) {
		must(t, s.DropMail(t.Context(), m.ID))
	}
	signIn("within the hour", noon.Add(time.Minute))
	wantMails(t, s, "a device within the hour")
	signIn("later", noon.Add(time.Hour+time.Second))
	wantMails(t, s, "a device later", mail.Device)

	// The notice of a new password is always sent.
	hash := "another"
	ev := event(audit.UserPassword, "user:diane")
	must(t, s.ChangeUser(t.Context(), "diane", account.Change{Password: &hash}, noon, ev))
	wantMails(t, s, "a change of the password", mail.Password)
}

func recoveryEndsLinks(t *testing.T, s Store) {
	addressed(t, s)
	hash := "another"

	for i, tc := range []struct {
		name   string
		change account.Change
		want   error
	}{
		{"a password by the user", account.Change{Password: &hash}, nil},
		{"a password by an operator", account.Change{Password: &hash, EndLinks: true}, jeton.ErrNotFound},
		{"an end of all tokens by an operator", account.Change{EndTokens: true, EndLinks: true}, jeton.ErrNotFound},
		{"groups by an operator", account.Change{Groups: &[]string{"staff"}, EndLinks: true}, nil},
	} {
		diane, err := s.FindUser(t.Context(), "diane")
		must(t, err)
		earlier := linked(t, s, diane.ID, fmt.Sprint("earlier ", i), noon.Add(time.Hour))
		must(t, s.ChangeUser(t.Context(), "diane", tc.change, noon, event(audit.UserChange, "user:diane")))
		later := linked(t, s, diane.ID, fmt.Sprint("later ", i), noon.Add(2*time.Hour))

		ev := event(audit.UserNotMe, "user:diane")
		wants(t, tc.name+": the earlier link", s.EndByNotice(t.Context(), earlier, noon, ev), tc.want)
		if tc.want != nil {
			must(t, s.EndByNotice(t.Context(), later, noon, ev))
		}
	}
}
