//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/examples"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// demoCommand implements 'jeton demo', the first command of the introduction: it must work
// without a file, a network and a free well-known port.
func demoCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start the example services and show what they do",
		Args:  noArgs,
		Long: `Start the three example services on loopback, with their data in a temporary folder, and
show them with the wallet: two users log in from one client and call; a user spends three
uses, is refused and logs in again. The services run until Ctrl-C.`,
		Example: `  jeton demo
  jeton demo --once`,
		RunE: func(c *cobra.Command, _ []string) error { return demo(c.Context(), c.OutOrStdout(), once) },
	}

	c.Flags().BoolVar(&once, "once", false, "exit at the end instead of waiting for Ctrl-C")

	return c
}

// demoService is a running example.
type demoService struct {
	url  string
	cert []byte
}

// demo runs the examples and the tour, and waits for ctx. It stops the servers and removes the
// folder however it ends.
func demo(ctx context.Context, out io.Writer, once bool) (err error) {
	dir, err := os.MkdirTemp("", "jeton-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	ctx, stop := context.WithCancel(ctx)
	defer stop()

	services := map[string]demoService{}
	ended := make(chan error, 3)
	running := 0
	// This runs before the folder is removed: the servers still write into it.
	defer func() {
		stop()
		for range running {
			err = errors.Join(err, <-ended)
		}
	}()

	for _, name := range []string{"cookie-login", "many-identities", "limited-info"} {
		service, err := startExample(ctx, filepath.Join(dir, name), name, ended)
		if err != nil {
			return err
		}

		running++
		services[name] = service
		fmt.Fprintf(out, "started %-16s %s\n", name, service.url)
	}

	if err := tour(ctx, out, dir, services); err != nil {
		return err
	}
	if once {
		return nil
	}

	fmt.Fprintf(out, "\nThe services run until Ctrl-C. Their certificates: %s/*/pubkey.pem\n", dir)
	fmt.Fprintf(
		out,
		"  curl --cacert %s/cookie-login/pubkey.pem -d 'username=Alice&password=alice_pw' -i %s/login\n",
		dir, services["cookie-login"].url,
	)

	<-ctx.Done()

	return nil
}

// startExample starts an example in this process and waits until it listens.
func startExample(ctx context.Context, dir, name string, ended chan<- error) (demoService, error) {
	text, err := examples.Files.ReadFile(name + "/jeton.yaml")
	if err != nil {
		return demoService{}, err
	}

	conf, err := config.Parse(name+"/jeton.yaml", text, os.LookupEnv)
	if err != nil {
		return demoService{}, err
	}

	conf.Admin.Listen = "off" // the three servers would have the same address
	conf.Services[0].Listen = freeAddress(conf.Services[0].Listen)
	started := make(chan server.Started, 1)

	s, err := server.New(server.Config{
		File:          conf,
		DataDir:       dir,
		Version:       version(),
		HasherCommand: hasher(),
		Log:           slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Started:       func(s server.Started) { started <- s },
	})
	if err != nil {
		return demoService{}, err
	}

	failed := make(chan error, 1)
	go func() {
		err := s.Run(ctx)
		failed <- err
		ended <- err
	}()

	select {
	case info := <-started:
		cert, err := os.ReadFile(info.Services[0].Cert)
		return demoService{info.Services[0].URL, cert}, err
	case err := <-failed:
		return demoService{}, fmt.Errorf("start %s: %w", name, err)
	}
}

// freeAddress returns the example's address, or one with another port if the port is in use.
func freeAddress(listen string) string {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "localhost:0"
	}

	_ = l.Close()
	return listen
}

// demoTour shows the examples and prints each step.
type demoTour struct {
	ctx    context.Context
	out    io.Writer
	wallet *wallet.Wallet
}

// tour shows the examples with a wallet of its own: it neither reads the identities of the
// user nor adds to them. The environment is hidden from it, because JETON_IDENTITY would
// change whom it calls as.
func tour(ctx context.Context, out io.Writer, dir string, services map[string]demoService) error {
	w, err := wallet.Open(wallet.Config{
		Dir:    filepath.Join(dir, "wallet"),
		KeyDir: filepath.Join(dir, "key"),
		Getenv: func(string) string { return "" },
	})
	if err != nil {
		return err
	}
	defer w.Close()

	s := &demoTour{ctx, out, w}
	return errors.Join(
		s.identities(services["many-identities"]),
		s.counted(services["limited-info"]),
		s.stored(),
	)
}

func (s *demoTour) printf(format string, args ...any) { fmt.Fprintf(s.out, "\n"+format+"\n", args...) }

// identities logs two users in from one client, once each.
func (s *demoTour) identities(at demoService) error {
	s.printf("1. One client, two users. Diane and Eshana log in once each:")
	ids := map[string]*wallet.Identity{}
	for _, name := range []string{"Diane", "Eshana"} {
		id, err := s.login(at, name)
		if err != nil {
			return err
		}
		ids[name] = id
	}

	s.printf("   They call in turn. Each is recognised, without another login:")

	for _, name := range []string{"Diane", "Eshana", "Diane", "Eshana"} {
		if _, err := s.call(ids[name], at.url+"/get-info"); err != nil {
			return err
		}
	}

	return nil
}

// counted spends three uses, is refused, and logs in again.
func (s *demoTour) counted(at demoService) error {
	s.printf("2. A counted login. Carlos has three uses of /limited-info:")
	carlos, err := s.login(at, "Carlos")
	if err != nil {
		return err
	}

	for range 4 {
		resp, err := s.call(carlos, at.url+"/limited-info")
		if err != nil {
			return err
		}
		if why, ok := wallet.NeedsLogin(resp); ok {
			s.printf("   The fourth call is refused: %v. So is every later one, until he logs in again.", why)
		}
	}

	s.printf("   /get-info is not counted, so the same login still works there:")
	if _, err := s.call(carlos, at.url+"/get-info"); err != nil {
		return err
	}

	s.printf("   A new login has three new uses:")
	carlos, err = s.login(at, "Carlos")
	if err != nil {
		return err
	}

	_, err = s.call(carlos, at.url+"/limited-info")
	return err
}

// stored prints the identities in the wallet.
func (s *demoTour) stored() error {
	s.printf("3. The identities in the wallet (jeton identities):")
	if err := s.wallet.Flush(s.ctx); err != nil {
		return err
	}

	list, err := s.wallet.Identities(s.ctx)
	if err != nil {
		return err
	}

	for _, id := range list {
		fmt.Fprintf(s.out, "   %-24s %-8s %s, uses left: %s\n", id.Origin, id.Name, state(id), uses(id.Uses))
	}

	return nil
}

// login logs a user of an example in, whose password is the name in lower case with _pw, and
// prints the command that would do the same.
func (s *demoTour) login(at demoService, name string) (*wallet.Identity, error) {
	fmt.Fprintf(s.out, "   $ jeton login %s --as %s\n", at.url, name)
	id, err := s.wallet.Login(s.ctx, wallet.Login{
		URL:      at.url,
		As:       name,
		Password: jeton.NewSecret(strings.ToLower(name) + "_pw"),
		CACert:   at.cert,
	})
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", name, err)
	}

	return id, nil
}

// call sends a request and prints the response.
func (s *demoTour) call(id *wallet.Identity, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}

	resp, err := id.Client().Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()

	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return nil, err
	}

	left := ""
	n := resp.Header.Get(jeton.HeaderUsesRemaining)
	if n != "" {
		left = "   uses left: " + n
	}

	fmt.Fprintf(
		s.out, "   $ jeton call --as %-7s GET %s\n     %d %s%s\n", id.Name(), url, resp.StatusCode,
		strings.TrimSpace(string(body)), left,
	)

	return resp, nil
}
