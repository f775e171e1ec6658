package guard_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/jeton-auth/jeton/guard"
)

// A service that accepts tokens for the audience reports. POST /exports requires a scope, too.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	g, err := guard.New(guard.Config{
		Issuer:   "https://jeton.example",
		Audience: "reports",
		Bound:    10 * time.Second,
		Log:      slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}

	go func() {
		if err := g.Run(ctx); err != nil {
			log.Fatal(err)
		}
	}()

	mux := http.NewServeMux()
	mux.Handle("GET /reports/{id}", g.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tok, _ := guard.From(r.Context())
		fmt.Fprintf(w, "report %s for %s\n", r.PathValue("id"), tok.Principal.Name)
	})))

	mux.Handle("POST /exports", g.Require("reports:export")(http.HandlerFunc(export)))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if g.Ready() != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})

	srv := &http.Server{Addr: "127.0.0.1:9000", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Print(srv.ListenAndServe())
}

func export(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "export started") }
