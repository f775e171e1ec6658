package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// browserFlags are the flags of a sign-in with a browser.
type browserFlags struct {
	use      bool
	none     bool
	device   bool
	clientID string
}

func (b *browserFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&b.use, "browser", false, "sign in with the browser (default without --as and without a credential)")
	f.BoolVar(&b.none, "no-browser", false, "print the address of the sign-in, for a browser on this machine")
	f.BoolVar(&b.device, "device", false, "print a code to type into a browser on any machine, and wait (RFC 8628)")
	f.StringVar(
		&b.clientID, "client-id", "",
		"with the browser: public client at the issuer (default: "+wallet.DefaultClientID+")",
	)
}

// given reports whether a flag asks for a sign-in with a browser.
func (b *browserFlags) given() bool { return b.use || b.none || b.device || b.clientID != "" }

// signIn returns how the user signs in, with the texts for the user on out.
func (b *browserFlags) signIn(out io.Writer) *wallet.SignIn {
	in := &wallet.SignIn{
		ClientID: b.clientID,
		Open: func(ctx context.Context, address string) error {
			if b.none {
				fmt.Fprintf(out, "Load this address in a browser on this machine:\n\n  %s\n\n", address)
				return nil
			}

			fmt.Fprintf(out, "Sign in with the browser. If none opens, load this address:\n\n  %s\n\n", address)

			return openBrowser(address)
		},
	}
	if b.device {
		in.Device = func(_ context.Context, code wallet.DeviceCode) error {
			fmt.Fprintf(
				out, "Load this address in a browser on any machine, and type in the code:\n\n  %s\n  %s\n\n",
				code.URL, code.Code,
			)

			return nil
		}
	}

	return in
}

// openBrowser starts a program with an address, and does not wait for its end: the first of the environment variable
// BROWSER that starts, or that of the system if the variable is empty.
func openBrowser(address string) error {
	var failed error
	for _, argv := range browserCommands(os.Getenv("BROWSER"), runtime.GOOS, address) {
		// Not bound to the context: the browser stays open after this program has ended.
		cmd := exec.Command(argv[0], argv[1:]...)
		err := cmd.Start()
		if err == nil {
			go func() { _ = cmd.Wait() }()
			return nil
		}
		failed = err
	}

	return fmt.Errorf("%w; set BROWSER to a program, or use --no-browser", failed)
}

// browserCommands returns the commands that load an address, in the order in which they are tried: those of BROWSER,
// which has colons between them and %s for the address, as other programs read that variable.
func browserCommands(browser, system, address string) [][]string {
	list := []string{browser}
	// A path of Windows has a colon of its own.
	if system != "windows" {
		list = strings.Split(browser, ":")
	}

	var commands [][]string
	for _, one := range list {
		argv := strings.Fields(one)
		if len(argv) == 0 {
			continue
		}

		if !slices.Contains(argv, "%s") {
			argv = append(argv, "%s")
		}
		for i := range argv {
			if argv[i] == "%s" {
				argv[i] = address
			}
		}
		commands = append(commands, argv)
	}
	if len(commands) > 0 {
		return commands
	}

	switch system {
	case "windows":
		return [][]string{{"rundll32", "url.dll,FileProtocolHandler", address}}
	case "darwin":
		return [][]string{{"open", address}}
	}

	return [][]string{{"xdg-open", address}}
}

// errBrowser is a contradiction of flags.
var errBrowser = usage{errors.New("an identity signs in with a browser, or has a token, a key or a password")}
