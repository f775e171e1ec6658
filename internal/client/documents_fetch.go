package client

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/outbound"
)

// fetch returns what the document of a client says, and how long it counts.
func (h DocumentHost) fetch(
	ctx context.Context,
	name string,
	timeout time.Duration,
) (*jeton.RelyingParty, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, 0, refuseDocument(DocumentUnread, err.Error())
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "jeton")

	by, err := h.Target.Client(r.URL.Scheme)
	if err != nil {
		return nil, 0, refuseDocument(DocumentUnread, err.Error())
	}

	resp, err := by.Do(r)
	if err != nil {
		return nil, 0, refuseDocument(DocumentUnread, err.Error())
	}
	defer resp.Body.Close()

	body, err := readDocument(resp)
	if err != nil {
		return nil, 0, refuseDocument(DocumentUnread, err.Error())
	}

	party, err := h.party(name, body)

	return party, maxAgeOf(resp.Header), err
}

// readDocument checks a response and returns its body.
func readDocument(resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s; want 200, and no redirect is followed", resp.Status)
	}

	// Not also text: what users upload to a site is often served as that.
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return nil, fmt.Errorf("content type %.100q; want application/json", resp.Header.Get("Content-Type"))
	}

	return outbound.ReadBody(resp, maxDocumentSize)
}
