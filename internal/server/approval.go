package server

import (
	"crypto/rand"

	"github.com/jeton-auth/jeton/internal/approval"
)

// openApprovals opens the requests for tokens that users approve.
func (k *core) openApprovals(c Config) (err error) {
	k.approvals, err = approval.New(approval.Config{
		Tickets:  k.tickets,
		Accounts: k.accounts,
		Tokens:   k.tokens,
		Audit:    k.audit,
		Now:      c.Now,
		Rand:     rand.Reader,
	})

	return err
}
