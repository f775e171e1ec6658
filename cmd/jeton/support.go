//go:build !walletonly

package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"time"

	"github.com/jeton-auth/jeton/internal/doctor"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// supportCommand implements 'jeton support'.
func supportCommand() *cobra.Command {
	var p place
	c := &cobra.Command{
		Use:   "support FILE",
		Short: "Write a report of an installation without secrets, to send with a question",
		Args:  exactArgs("FILE"),
		Long: `Write an archive (tar.gz, readable by you only) with what a question needs: version.json, doctor.json
(as jeton doctor -o json), config.json, database.json with the schema, how many rows each table has and the
nodes, and metrics.txt of the admin listener; missing.json says which of them could not be read, and why. The
configuration has names, hosts, numbers and values from fixed lists; every other text in it is replaced by [set], so
that no secret is in the file, whatever key it is under. The log is not in it.`,
		Example: `  jeton support /tmp/jeton-support.tar.gz`,
	}

	c.RunE = func(c *cobra.Command, args []string) error {
		if args[0] == "-" {
			return usage{errors.New("the report is an archive, not text: name a FILE, such as jeton-support.tar.gz")}
		}

		file, err := secretfile.Create(args[0])
		if errors.Is(err, fs.ErrExist) {
			return exit{exitConflict, args[0] + " exists already: name a new file, or remove it"}
		}
		if err != nil {
			return err
		}

		err = errors.Join(support(c.Context(), &p, file), file.Close())
		if err != nil {
			return errors.Join(err, os.Remove(args[0]))
		}
		fmt.Fprintf(c.OutOrStdout(), "wrote %s; look into it before you send it\n", args[0])

		return nil
	}

	return withFlags(c, &p)
}

// bundle is an archive to which files are added.
type bundle struct {
	tar *tar.Writer
	now time.Time
	err error // the first one
}

// support writes the archive. What cannot be read is left out; missing.json says why.
func support(ctx context.Context, p *place, to io.Writer) error {
	compressed := gzip.NewWriter(to)
	b := &bundle{tar: tar.NewWriter(compressed), now: time.Now()}
	b.addJSON("version.json", map[string]string{
		"version": version(),
		"go":      runtime.Version(),
		"system":  runtime.GOOS + "/" + runtime.GOARCH,
	})

	conf, err := p.server()
	if err != nil {
		// The text may quote the file.
		const seen = "the configuration could not be loaded; its errors are not in this report"
		b.addJSON("doctor.json", []doctor.Finding{{Name: "configuration", Seen: seen, Fix: "run 'jeton config check'"}})
		return b.close(compressed)
	}

	b.addJSON("doctor.json", server.Examine(ctx, conf))
	b.addJSON("config.json", redacted(conf.File))

	missing := map[string]string{}
	inventory, err := server.TakeInventory(ctx, conf)
	if err == nil {
		b.addJSON("database.json", inventory)
	} else {
		missing["database.json"] = err.Error()
	}

	metrics, err := metricsOf(ctx, conf)
	if err == nil {
		b.add("metrics.txt", []byte(metrics))
	} else {
		missing["metrics.txt"] = err.Error()
	}

	b.addJSON("missing.json", missing)

	return b.close(compressed)
}

// metricsOf returns the metrics of a server that runs with a configuration.
func metricsOf(ctx context.Context, conf server.Config) (string, error) {
	url, err := adminURL(conf.File)
	if err != nil {
		return "", err
	}

	return newScraper(conf.File, conf.DataDir).text(ctx, url)
}

// addJSON adds a value as a file.
func (b *bundle) addJSON(name string, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		b.err = cmp.Or(b.err, err)
		return
	}
	b.add(name, append(text, '\n'))
}

// add adds a file, unless an earlier one failed.
func (b *bundle) add(name string, content []byte) {
	if b.err != nil {
		return
	}

	err := b.tar.WriteHeader(&tar.Header{
		Name:    "jeton-support/" + name,
		Mode:    0o600,
		Size:    int64(len(content)),
		ModTime: b.now,
	})
	if err == nil {
		_, err = b.tar.Write(content)
	}

	b.err = err
}

// close completes the archive.
func (b *bundle) close(compressed *gzip.Writer) error {
	if b.err != nil {
		return b.err
	}

	return errors.Join(b.tar.Close(), compressed.Close())
}
