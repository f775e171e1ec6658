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

func demoCommand() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start the examples on this machine and walk through them",
		Args:  noArgs,
		Long: `Start the three example services on loopback, with their data in a temporary folder, and
walk through them with the wallet: log two people in from one client, call, spend
three uses, be denied, log in again. Then stay up until Ctrl-C.`,
		Example: `  jeton demo
  jeton demo --once`,
		RunE: func(c *cobra.Command, _ []string) error { return demo(c.Context(), c.OutOrStdout(), once) },
	}

	c.Flags().BoolVar(&once, "once", false, "end after the walk")

	return c
}

// demoService is an example that is up.
type demoService struct {
	url  string
	cert []byte
}

func demo(ctx context.Context, out io.Writer, once bool) (err error) {
	dir, err := os.MkdirTemp("", "jeton-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	ctx, stop := context.WithCancel(ctx)
	defer stop()

	up := map[string]demoService{}
	ended := make(chan error, 3)
	running := 0
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
		up[name] = service
		fmt.Fprintf(out, "started %-16s %s\n", name, service.url)
	}

	if err := walk(ctx, out, dir, up); err != nil {
		return err
	}
	if once {
		return nil
	}

	fmt.Fprintf(out, "\nThe services stay up until Ctrl-C. Their certificates: %s/*/pubkey.pem\n", dir)
	fmt.Fprintf(
		out,
		"  curl --cacert %s/cookie-login/pubkey.pem -d 'username=Alice&password=alice_pw' -i %s/login\n",
		dir,
		up["cookie-login"].url,
	)

	<-ctx.Done()

	return nil
}

// startExample runs an example in this process and waits until it answers.
func startExample(ctx context.Context, dir, name string, ended chan<- error) (demoService, error) {
	text, err := examples.Files.ReadFile(name + "/jeton.yaml")
	if err != nil {
		return demoService{}, err
	}

	conf, err := config.Parse(name+"/jeton.yaml", text, os.LookupEnv)
	if err != nil {
		return demoService{}, err
	}

	conf.Admin.Listen = "off"
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
	case at := <-started:
		cert, err := os.ReadFile(at.Services[0].Cert)
		return demoService{at.Services[0].URL, cert}, err
	case err := <-failed:
		return demoService{}, fmt.Errorf("start %s: %w", name, err)
	}
}

// freeAddress keeps an example's port unless something else has it.
func freeAddress(listen string) string {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "localhost:0"
	}

	_ = l.Close()
	return listen
}

// story is the walk, told while it is done.
type story struct {
	ctx    context.Context
	out    io.Writer
	wallet *wallet.Wallet
}

func walk(ctx context.Context, out io.Writer, dir string, up map[string]demoService) error {
	w, err := wallet.Open(wallet.Config{
		Dir:    filepath.Join(dir, "wallet"),
		KeyDir: filepath.Join(dir, "key"),
		Getenv: func(string) string { return "" },
	})
	if err != nil {
		return err
	}
	defer w.Close()

	s := &story{ctx, out, w}
	return errors.Join(s.identities(up["many-identities"]), s.counted(up["limited-info"]), s.kept())
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.out, "\n"+format+"\n", args...) }

// identities logs two people in from one client, once each.
func (s *story) identities(at demoService) error {
	s.say("1. One client, two people. Diane and Eshana log in once each:")
	people := map[string]*wallet.Identity{}
	for _, name := range []string{"Diane", "Eshana"} {
		id, err := s.login(at, name)
		if err != nil {
			return err
		}
		people[name] = id
	}

	s.say("   Then they call in turn. No login is repeated, and nobody is taken for the other:")

	for _, name := range []string{"Diane", "Eshana", "Diane", "Eshana"} {
		if _, err := s.call(people[name], at.url+"/get-info"); err != nil {
			return err
		}
	}

	return nil
}

// counted spends three uses, is denied, and logs in again.
func (s *story) counted(at demoService) error {
	s.say("2. A login that is counted. Carlos has three uses of /limited-info:")
	carlos, err := s.login(at, "Carlos")
	if err != nil {
		return err
	}

	for range 4 {
		answer, err := s.call(carlos, at.url+"/limited-info")
		if err != nil {
			return err
		}
		if why, ok := wallet.NeedsLogin(answer); ok {
			s.say("   The fourth is refused: %v. It stays so, whoever asks and however often.", why)
		}
	}

	s.say("   /get-info is not counted there, so the same login still opens it:")
	if _, err := s.call(carlos, at.url+"/get-info"); err != nil {
		return err
	}

	s.say("   A new login brings three new uses:")
	if carlos, err = s.login(at, "Carlos"); err != nil {
		return err
	}

	_, err = s.call(carlos, at.url+"/limited-info")
	return err
}

// kept shows what the wallet holds.
func (s *story) kept() error {
	s.say("3. What the wallet holds (jeton identities):")
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

func (s *story) login(at demoService, name string) (*wallet.Identity, error) {
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

// call sends a request and tells what came back.
func (s *story) call(id *wallet.Identity, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(s.ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}

	answer, err := id.Client().Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()

	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil {
		return nil, err
	}

	left := ""
	n := answer.Header.Get(jeton.HeaderUsesRemaining)
	if n != "" {
		left = "   uses left: " + n
	}

	fmt.Fprintf(
		s.out,
		"   $ jeton call --as %-7s GET %s\n     %d %s%s\n",
		id.Name(),
		url,
		answer.StatusCode,
		strings.TrimSpace(string(body)),
		left,
	)

	return answer, nil
}
