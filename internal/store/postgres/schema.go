package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// schema has one file for each step. A released file never changes: its checksum is in
// every database.
//
//go:embed schema/*.sql
var schema embed.FS

// Step is a step of the schema.
type Step struct {
	Number int
	Name   string
	// Needs is the last step that a program must know to work with the schema after this one.
	// A step that only adds something needs an older step: nodes of the previous version go on
	// beside new ones. A step that removes what they use needs itself.
	Needs   int
	Applied bool
	text    string
	sum     string
}

// loadSteps returns the steps of the schema in order.
func loadSteps(files fs.FS) ([]Step, error) {
	names, err := fs.Glob(files, "schema/*.sql")
	if err != nil {
		return nil, err
	}

	var list []Step
	for i, file := range names {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}

		name := path.Base(file)
		// A name without an underscore is cut to nothing, which is no number.
		number, err := strconv.Atoi(name[:max(strings.IndexByte(name, '_'), 0)])
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s is out of order: want number %04d", name, i+1)
		}

		sum := sha256.Sum256(text)
		s := Step{
			Number: number,
			Name:   name,
			Needs:  number,
			text:   string(text),
			sum:    hex.EncodeToString(sum[:]),
		}
		line, _, _ := strings.Cut(s.text, "\n")
		if strings.HasPrefix(line, needsPrefix) {
			s.Needs, err = strconv.Atoi(strings.TrimSpace(line[len(needsPrefix):]))
			if err != nil || s.Needs > number {
				return nil, fmt.Errorf("migration %s: invalid first line %q: want a step up to its own", name, line)
			}
		}

		list = append(list, s)
	}

	return list, nil
}

// needsPrefix begins the first line of a step that older programs can work with.
const needsPrefix = "-- needs:"

// schemaFiles holds the steps that this program knows.
func (c Config) schemaFiles() fs.FS {
	if c.Schema != nil {
		return c.Schema
	}
	return schema
}

// markApplied marks the steps that have been applied, and adds those of a newer version. It refuses
// a schema of another program, and one that this program cannot work with.
func markApplied(ctx context.Context, conn *pgx.Conn, list []Step) ([]Step, error) {
	const read = `SELECT current_schema() IS NOT NULL, COALESCE(bool_or(relname = 'migrations'), FALSE), count(*)
FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm')`
	var hasSchema, ours bool
	var tables int
	if err := conn.QueryRow(ctx, read).Scan(&hasSchema, &ours, &tables); err != nil {
		return nil, err
	}

	switch {
	case !hasSchema:
		return nil, errors.New("no schema of its search_path exists; create one with CREATE SCHEMA")
	case !ours && tables > 0:
		return nil, errors.New("its schema has tables of another program; " +
			"name an empty database, or an empty schema with search_path")
	case !ours:
		return list, nil
	}

	// The rows carry the error of the query, and CollectRows returns it.
	rows, _ := conn.Query(ctx, "SELECT number, name, sum, needs FROM migrations ORDER BY number")
	done, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Step, err error) {
		s.Applied = true
		return s, row.Scan(&s.Number, &s.Name, &s.sum, &s.Needs)
	})
	if err != nil {
		return nil, fmt.Errorf("its table of migrations is not ours; name another database: %w", err)
	}

	known := len(list)
	for _, s := range done {
		switch {
		case s.Number <= known && list[s.Number-1].sum != s.sum:
			return nil, fmt.Errorf(
				"step %s of its schema differs from the one of this program: it is from another build of jeton",
				s.Name,
			)
		case s.Number <= known:
			list[s.Number-1].Applied = true
		case s.Needs > known:
			return nil, fmt.Errorf(
				"a newer version of jeton has changed its schema (step %s), and this one knows %d steps; "+
					"run that version, or restore a backup made before the upgrade",
				s.Name,
				known,
			)
		default:
			list = append(list, s)
		}
	}

	return list, nil
}
