//go:build !walletonly

package main

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// mailCommand implements 'jeton mail'.
func mailCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "mail",
		Short:   "Try out the mail server",
		Long:    "Try out how the server sends mail to users, as the key mail of its configuration says.",
		Example: `  jeton mail test diane@example.org`,
	}
	c.AddCommand(mailTest())

	return c
}

// mailTest implements 'jeton mail test'.
func mailTest() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:   "test ADDRESS",
		Short: "Send a mail to an address, and print what the mail server says",
		Args:  exactArgs("ADDRESS"),
		Long: `Send a mail to an address as the server sends them, with the server running or stopped. It is
tried once: the command fails with the words of the mail server if that does not accept it.`,
		Example: `  jeton mail test diane@example.org`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodPost,
			path:    "/api/v1/mail/test",
			body:    api.MailTest{To: args[0]},
			subject: "mail to " + args[0],
			done:    "sent a mail to " + args[0],
		}, nil
	})
}
