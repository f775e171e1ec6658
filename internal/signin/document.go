package signin

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
)

// DocumentRequest names a client that a document may describe.
type DocumentRequest struct {
	ClientID string
	Source   netip.Addr
	Request  string // ID of the request
}

// ReadDocument reads the document of a client whose host is allowed, if it is not known or not fresh. It does nothing
// for other clients. It returns jeton.ErrUnavailable or jeton.ErrInvalid, which are audit events with their reason, and
// jeton.ErrBusy or jeton.ErrTooMany for too many requests.
func (l *Logins) ReadDocument(ctx context.Context, req DocumentRequest) error {
	must, err := l.clients.MustRead(ctx, req.ClientID)
	if err != nil || !must {
		return err
	}

	// Strangers choose the address. It is not given back: each is a request to another host.
	_, err = l.requests.document.Begin(l.now(), req.ClientID, req.Source, false)
	if err != nil {
		return fmt.Errorf("read the document of a client: %w", err)
	}

	err = l.clients.ReadDocument(ctx, req.ClientID)
	reason := client.ReasonOf(err)
	if reason == "" {
		return err
	}

	trail := auditTrail{
		action:  audit.ClientDocument,
		actor:   "client:" + clip(req.ClientID),
		service: "issuer",
		source:  req.Source,
		request: req.Request,
	}
	_ = trail.fail("client document", clip(client.ValueOf(err)), Reason(reason))
	l.audit.Record(trail.event(l.now(), err))

	return fmt.Errorf("read the document of a client: %w", err)
}
