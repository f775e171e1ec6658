package doctor_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/doctor"
)

// TestAHangingProxyDoesNotHoldUpAnInterrupt has a proxy that answers nothing.
func TestAHangingProxyDoesNotHoldUpAnInterrupt(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, proxy := net.Pipe()
	ctx, interrupt := context.WithCancel(t.Context())

	go func() {
		_, _ = proxy.Read(make([]byte, 1)) // the request has begun
		interrupt()
		_, _ = proxy.Read(make([]byte, 64<<10)) // the rest of it; no answer
	}()

	_, err = doctor.Run(ctx, doctor.Config{
		URL:   &url.URL{Scheme: "http", Host: "app.example", Path: "/"},
		Token: jeton.NewSecret("token"),
		Echo:  echo,
		Dial:  func(context.Context) (net.Conn, error) { return client, nil },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want context.Canceled", err)
	}
}
