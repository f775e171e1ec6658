package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// listen hears what other nodes say, until ctx ends. It makes things fast; what is
// promised does not hang on it.
func (h *node) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := h.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}

		h.db.c.Log.Debug("listening to other nodes was cut off", "error", err)

		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

func (h *node) listenOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	h.mu.Lock()
	h.cancelListen = cancel
	h.mu.Unlock()
	conn, err := pgx.ConnectConfig(ctx, h.settings)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()

	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}

	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		h.onNotification(ctx, n.Payload)
	}
}

// onNotification takes what another node says on the connection that ctx is of.
func (h *node) onNotification(ctx context.Context, text string) {
	if text == "look" {
		h.wake()
		return
	}

	rest, ok := strings.CutPrefix(text, "heard ")
	if !ok {
		return // of a newer version
	}

	id, at, _ := strings.Cut(rest, " ")
	s, err := parseSnapshot(at)
	if err != nil || id == h.id {
		return
	}

	h.mu.Lock()
	defer h.mu.Unlock()

	if ctx.Err() != nil {
		return // the server that it was said on may be no more
	}

	h.acks[id] = s
	close(h.acksChanged)
	h.acksChanged = make(chan struct{})
}

func (h *node) notify(ctx context.Context, text string) error {
	const most = 7900 // bytes of a notification are at most 8000
	if len(text) > most {
		return nil // the others wait for the bound instead
	}
	return h.exec(ctx, "SELECT pg_notify($1, $2)", channel, text)
}
