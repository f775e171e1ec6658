package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// openAdvice says what an operator can do about an error of PostgreSQL, by its code.
var openAdvice = map[string]string{
	"28P01": "the database refuses this user; check user, password and pg_hba.conf",
	"28000": "the database refuses this user; check user, password and pg_hba.conf",
	"3D000": "the database does not exist; create it with CREATE DATABASE",
	"42501": "the user lacks a privilege; it must own its schema",
	"25006": "the database takes no writes; check whether it is a standby",
	"55P03": "the database is in use by another program, which holds a lock; try again",
	"53300": "the database has no connection left; raise max_connections there, or lower database.connections here",
}

// explainOpen adds what an operator can do about a database that does not open.
func explainOpen(err error) error {
	var fromServer *pgconn.PgError
	var certificate *tls.CertificateVerificationError
	var connect *pgconn.ConnectError
	var advice string

	switch {
	case errors.As(err, &fromServer):
		advice = openAdvice[fromServer.Code]
	case errors.As(err, &certificate):
		advice = "the certificate of the database is not valid for it; check sslrootcert and the name of the host"
	case errors.As(err, &connect) && strings.Contains(err.Error(), "server refused TLS connection"):
		// The library has no error value for that.
		advice = "the database does not offer TLS; set ssl = on there"
	case errors.As(err, &connect):
		advice = "the database does not answer; check that it runs, and its address"
	}

	if advice == "" {
		return err
	}

	return fmt.Errorf("%s: %w", advice, err)
}
