//go:build !walletonly

package main

import "github.com/spf13/cobra"

// The text of 'jeton --help'.
const (
	rootText = `Jeton proves who is calling a service, decides whether they may, and counts how often.
One program is the server, the gateway in front of services, and the caller's wallet.`
	rootExample = `  jeton demo
  jeton serve --config jeton.yaml`
)

// The groups of commands in the help.
const (
	groupServer  = "server"
	groupOperate = "operate"
)

// addServer adds the commands of a server and of its operators.
func addServer(root *cobra.Command) {
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Server:"},
		&cobra.Group{ID: groupOperate, Title: "Operators:"},
	)

	// The order in which a map is walked does not show: cobra sorts commands by name within
	// a group.
	for group, commands := range map[string][]*cobra.Command{
		groupServer: {serveCommand(), demoCommand(), configCommand(), routesCommand(), hashPasswordCommand()},
		groupOperate: {
			userCommand(),
			clientCommand(),
			sessionCommand(),
			keysCommand(),
			tokenCommand(),
			auditCommand(),
			explainCommand(),
			checkRequest(),
			mailCommand(),
			doctorCommand(),
			statusCommand(),
			topCommand(),
			supportCommand(),
			healthCommand(),
			backupCommand(),
			restoreCommand(),
			dbCommand(),
			migrateCommand(),
			planCommand(),
			applyCommand(),
			adoptCommand(),
		},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}

	root.AddCommand(hasherCommand())
}
