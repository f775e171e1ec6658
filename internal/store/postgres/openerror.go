package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// explainOpen adds what an operator can do about a database that does not open.
func explainOpen(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch e.Code {
		case "28P01", "28000":
			return fmt.Errorf("the database does not let this user in; look at user, password and pg_hba.conf: %w", err)
		case "3D000":
			return fmt.Errorf("there is no such database; CREATE DATABASE makes it: %w", err)
		case "42501":
			return fmt.Errorf("the user may not do this; it must own its schema: %w", err)
		case "25006":
			return fmt.Errorf("the database takes no writes; is it a standby? %w", err)
		case "55P03":
			return fmt.Errorf(
				"the database is in use: the step would have to wait for somebody else's; try again: %w",
				err,
			)
		case "53300":
			return fmt.Errorf(
				"the database has no connection left; raise max_connections there or lower database.connections here: %w",
				err,
			)
		}

		return err
	}

	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return fmt.Errorf(
			"the certificate of the database does not prove that it is the one; look at sslrootcert and at the name of its host: %w",
			err,
		)
	}

	var c *pgconn.ConnectError
	if errors.As(err, &c) {
		if strings.Contains(err.Error(), "server refused TLS connection") { // the library has no other word for it
			return fmt.Errorf("the database does not speak TLS; set ssl = on there: %w", err)
		}
		return fmt.Errorf("the database does not answer; is it up, and is the address right? %w", err)
	}

	return err
}
