package envoy

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/jeton-auth/jeton/jetontest"
)

const behindGateway = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    tokens: {}
    routes:
      - {match: 'POST /grpc.health.v1.Health/{method}', upstream: {url: 'http://${UP}', protocol: h2c}}
`

// TestGRPCPassesTheGateway calls a server of gRPC with and without a token: its status is in trailers, an error has
// nothing else, and a stream begins before it ends.
func TestGRPCPassesTheGateway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := grpc.NewServer()
	state := health.NewServer()
	state.SetServingStatus("shop", grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(up, state)
	go func() { _ = up.Serve(l) }()
	t.Cleanup(up.Stop)

	s := jetontest.Start(t, behindGateway, jetontest.Env("UP", l.Addr().String()))
	s.AddUser("diane", "correct horse battery")
	token := s.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "calls",
		Services: []string{"app"},
	})

	conn, err := grpc.NewClient(s.Addr("app"), grpc.WithTransportCredentials(credentials.NewTLS(s.TLS())),
		grpc.WithAuthority("localhost"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	client := grpc_health_v1.NewHealthClient(conn)
	with := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token.Secret)

	for _, tc := range []struct {
		name    string
		ctx     context.Context
		service string
		want    codes.Code
	}{
		{"with a token", with, "shop", codes.OK},
		{"an error of the server", with, "unknown", codes.NotFound},
		{"without a token", t.Context(), "shop", codes.Unauthenticated},
	} {
		_, err := client.Check(tc.ctx, &grpc_health_v1.HealthCheckRequest{Service: tc.service})
		if got := status.Code(err); got != tc.want {
			t.Errorf("%s: a call is answered %v (%v), want %v", tc.name, got, err, tc.want)
		}
	}

	stream, err := client.Watch(with, &grpc_health_v1.HealthCheckRequest{Service: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []grpc_health_v1.HealthCheckResponse_ServingStatus{
		grpc_health_v1.HealthCheckResponse_SERVING,
		grpc_health_v1.HealthCheckResponse_NOT_SERVING,
	} {
		state.SetServingStatus("shop", want)
		m, err := stream.Recv()
		if err != nil || m.GetStatus() != want {
			t.Fatalf("message of the stream is %v, %v, want %v", m.GetStatus(), err, want)
		}
	}
}
