package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Renewal is what the store does as the user of a session is proved again.
type Renewal struct {
	ID    string
	Shown secret.Hash // of the secret that the request showed
	Fresh secret.Hash // of the secret that replaces it
	At    time.Time
	// Methods replaces how the user was proved; "" leaves it.
	Methods string
}

// Prove stores that the user of a session was proved again at a time, whichever way, and adds the
// event, which gets the session as its target. The session gets a new secret, and the one that was
// shown is refused from then on: an attacker who has planted or copied it gains nothing from the proof.
// It returns jeton.ErrBadCredential if the session has ended or got another secret meanwhile, as a
// change of the password ends it. methods replaces how the user was proved; "" leaves it.
func (s *Sessions) Prove(
	ctx context.Context,
	live *Live,
	at time.Time,
	methods string,
	ev jeton.Event,
) (Started, error) {
	text, err := secret.NewSession(s.rand)
	if err != nil {
		return Started{}, err
	}

	ev.Target = "session:" + live.ID

	err = s.store.ProveSession(ctx, Renewal{
		ID:    live.ID,
		Shown: live.hash,
		Fresh: secret.HashOf(text.Reveal()),
		At:    at,

		Methods: methods,
	}, ev)
	if errors.Is(err, jeton.ErrNotFound) {
		return Started{}, jeton.ErrBadCredential
	}
	if err != nil {
		return Started{}, fmt.Errorf("prove user of session: %w", err)
	}

	return Started{
		Secret: text,
		ID:     live.ID,
		At:     at,
		Ends:   live.Expires(),
	}, nil
}

// maxProofs limits the proofs that are cached, of about 200 bytes each: about as many as sessions may be busy at one
// time, since each request of one that is not here costs one query. A service that needs none reads none.
const maxProofs = 1 << 16

// Proof is how and when the user of a session was last proved. It is never changed.
type Proof struct {
	Methods []string  // amr: values of RFC 8176, and upstream:NAME
	At      time.Time // auth_time; zero: by nothing that counts as a proof, such as a link
}

// Proof returns how and when the user of a session was last proved. The session is valid: the proof of an ended one may
// be cached. It returns jeton.ErrBadCredential if there is none with the secret that was shown.
func (s *Sessions) Proof(ctx context.Context, live *Live) (Proof, error) {
	p := s.proofs.Get(live.hash)
	if p != nil {
		return *p, nil
	}

	// Nothing is ever dropped: a new proof comes with a new secret.
	generation := s.proofs.Generation(live.hash)
	r, err := s.store.FindSession(ctx, live.hash)
	if errors.Is(err, jeton.ErrNotFound) {
		return Proof{}, jeton.ErrBadCredential
	}
	if err != nil {
		return Proof{}, fmt.Errorf("find session: %w", err)
	}

	p = &Proof{Methods: strings.Fields(r.Methods), At: r.Proved}

	return *s.proofs.Add(live.hash, p, generation), nil
}

// Proved returns when the user of a session was last proved by a password, or the zero time. It
// asks the store, so that a proof on one node counts on all. It returns jeton.ErrBadCredential if
// there is no such session.
func (s *Sessions) Proved(ctx context.Context, id string) (time.Time, error) {
	// An empty choice would select every session.
	if id == "" {
		return time.Time{}, jeton.ErrBadCredential
	}

	list, err := s.store.ListSessions(ctx, Which{ID: id}, 1)
	if err != nil {
		return time.Time{}, fmt.Errorf("find session: %w", err)
	}
	if len(list) == 0 {
		return time.Time{}, jeton.ErrBadCredential
	}

	return list[0].Proved, nil
}

// maxAgent limits the stored User-Agent, in bytes.
const maxAgent = 200

// cleanAgent returns a User-Agent as it is stored and shown: printable, without secrets, and at most
// maxAgent bytes.
func cleanAgent(text string) string {
	text = secret.Mask(strings.ToValidUTF8(text, ""))
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)

	if len(text) > maxAgent {
		text = strings.ToValidUTF8(text[:maxAgent], "")
	}

	return text
}
