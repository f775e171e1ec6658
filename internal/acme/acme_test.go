package acme

import (
	"log/slog"
	"testing"

	"github.com/caddyserver/certmagic"
)

func TestNothingIsRenewedWithoutAnAuthority(t *testing.T) {
	c := New(slog.New(slog.DiscardHandler))
	defer c.Close()

	certs, err := c.Prepare(t.Context(), Settings{
		Directory: "https://127.0.0.1:1/directory",
		Storage:   t.TempDir() + "/acme",
		Names:     []string{"app.example.org"},
	})
	if err != nil {
		t.Fatal(err)
	}

	c.use(certs)
	c.Forget()

	config, err := c.configFor(certmagic.Certificate{})
	if err == nil {
		t.Errorf("configuration that renews = %v, want none", config)
	}
}
