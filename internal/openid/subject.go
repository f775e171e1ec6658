package openid

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/jeton-auth/jeton/internal/client"
)

// SubjectStore keeps the secret that pairwise subjects are derived with. It is in every backup and copy: with another
// one, all users would be new ones to their applications.
type SubjectStore interface {
	// SubjectSecret returns the stored secret, and stores the given one if there is none. Of callers at once, on any
	// nodes, all get the same.
	SubjectSecret(ctx context.Context, fresh string) (string, error)
}

// Subjects names users and sessions to relying parties (OpenID Connect Core 1.0, section 8). A pairwise client gets
// names of its own sector: two clients of different sectors cannot find out by them that they have the same user. It is
// safe for concurrent use.
type Subjects struct {
	store SubjectStore

	mu     sync.Mutex
	secret []byte // nil: not read yet
}

// NewSubjects returns the subjects of a server. It reads nothing before the first pairwise client needs it.
func NewSubjects(store SubjectStore) *Subjects { return &Subjects{store: store} }

// Of returns the sub of a user, by the public id, for a client.
func (s *Subjects) Of(ctx context.Context, c client.Client, user string) (string, error) {
	return s.name(ctx, c, "user", user)
}

// SessionOf returns the sid of a sign-in session, by its public id, for a client. The same one for all clients would
// reveal what a pairwise sub hides.
func (s *Subjects) SessionOf(ctx context.Context, c client.Client, session string) (string, error) {
	return s.name(ctx, c, "session", session)
}

// name returns the name of a user or a session for a client.
func (s *Subjects) name(ctx context.Context, c client.Client, kind, id string) (string, error) {
	if !client.Pairwise(c.OpenID) {
		return id, nil
	}

	secret, err := s.read(ctx)
	if err != nil {
		return "", fmt.Errorf("pairwise subject: %w", err)
	}

	// No kind, no host and no id has a zero byte.
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(kind + "\x00" + c.OpenID.SectorIdentifier + "\x00" + id))

	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)), nil
}

// read returns the secret.
func (s *Subjects) read(ctx context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.secret != nil {
		return s.secret, nil
	}

	fresh := make([]byte, sha256.Size)
	_, _ = rand.Read(fresh) // never fails

	text, err := s.store.SubjectSecret(ctx, hex.EncodeToString(fresh))
	if err != nil {
		return nil, err
	}

	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) != sha256.Size {
		return nil, fmt.Errorf("the stored secret of subjects is not %d bytes in hex", sha256.Size)
	}
	s.secret = secret

	return secret, nil
}
