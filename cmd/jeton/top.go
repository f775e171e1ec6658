//go:build !walletonly

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// top is 'jeton top'.
type top struct {
	place
	output
	once  bool
	every time.Duration
	urls  []string
}

// nodeLoad is what a server does, by two scrapes of its metrics. Rates are per second.
type nodeLoad struct {
	URL      string             `json:"url"`
	Version  string             `json:"version,omitempty"`
	Error    string             `json:"error,omitempty"` // it does not answer
	Requests float64            `json:"requests_per_second"`
	Uses     float64            `json:"uses_per_second"`
	Refusals map[string]float64 `json:"refusals_per_second"` // by outcome
	// Hashing is how many passwords wait for the hasher, of HashingMax at most.
	Hashing    float64 `json:"hasher_waiting"`
	HashingMax float64 `json:"hasher_queue_max"`
	// Password is the mean time in seconds that a password took between the scrapes, of waiting and of work.
	Password float64 `json:"password_seconds"`
	// Revocation is the mean time in seconds until the revocations between the scrapes held on all nodes, and
	// Staleness how old what the node decides by is. Both are 0 on SQLite.
	Revocation float64 `json:"revocation_seconds"`
	Staleness  float64 `json:"staleness_seconds"`
	// Database is "up" or "down".
	Database    string  `json:"database"`
	Connections float64 `json:"connections"`
	Memory      float64 `json:"memory_bytes"`
}

// topCommand implements 'jeton top'.
func topCommand() *cobra.Command {
	var t top
	c := &cobra.Command{
		Use:   "top",
		Short: "Show what running servers do, again and again",
		Args:  noArgs,
		Long: `Show requests, uses and refusals per second, passwords that wait for the hasher, how long a
password and a revocation take, and the state of the database, until Ctrl-C. It reads the metrics of
the admin listener of the configuration; with --url those of other nodes, to which admin.allow must
admit this machine. admin.token_file is sent to them. With --once the exit code is 1 if a server does
not answer.`,
		Example: `  jeton top
  jeton top --once -o json
  jeton top --url http://10.0.0.1:9180 --url http://10.0.0.2:9180`,
	}

	c.RunE = func(c *cobra.Command, _ []string) error {
		if t.every < time.Millisecond {
			return usage{fmt.Errorf("invalid --every %v: want at least 1ms", t.every)}
		}
		for _, text := range t.urls {
			u, err := url.Parse(text)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return usage{fmt.Errorf("invalid --url %q: want a URL such as http://10.0.0.1:9180", text)}
			}
		}

		return t.run(c.Context(), c.OutOrStdout())
	}

	f := c.Flags()
	f.BoolVar(&t.once, "once", false, "print one report, over the time of --every, and end")
	f.DurationVar(&t.every, "every", 2*time.Second, "time between two reports")
	f.StringArrayVar(&t.urls, "url", nil, "URL of the admin listener of a node; may be repeated")

	return withFlags(c, &t.place, &t.output)
}

// run prints reports until ctx ends.
func (t *top) run(ctx context.Context, out io.Writer) error {
	conf, dir, err := t.open()
	if err != nil {
		return err
	}
	if len(t.urls) == 0 {
		own, err := adminURL(conf)
		if err != nil {
			return err
		}
		t.urls = []string{own}
	}

	s := newScraper(conf, dir)
	before, began := t.scrape(ctx, s), time.Now()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(t.every):
		}

		after, now := t.scrape(ctx, s), time.Now()
		list := loads(before, after, now.Sub(began))
		err := t.show(out, list)
		if err != nil {
			return err
		}
		if t.once {
			return silent(list)
		}
		before, began = after, now
	}
}

// scraped are the metrics of a node, or why there are none.
type scraped struct {
	url  string
	list []sample
	err  error
}

// scrape reads the metrics of all nodes.
func (t *top) scrape(ctx context.Context, s *scraper) []scraped {
	var list []scraped
	for _, url := range t.urls {
		text, err := s.text(ctx, url)
		list = append(list, scraped{url, samples(text), err})
	}

	return list
}

// show prints a report, on a terminal in the place of the one before.
func (t *top) show(out io.Writer, list []nodeLoad) error {
	if file, ok := out.(*os.File); ok && !t.once && !t.json && term.IsTerminal(int(file.Fd())) {
		fmt.Fprint(out, "\x1b[H\x1b[2J") // home, and clear
	}

	var rows [][]string
	for _, n := range list {
		rows = append(rows, n.row())
	}

	return t.print(out, list, []string{
		"NODE", "REQ/S", "USES/S", "REFUSED/S", "HASHER", "PASSWORD", "REVOKED IN", "BEHIND", "DATABASE", "CONNS",
		"MEMORY",
	}, rows)
}

// silent returns an error if servers do not answer, for scripts.
func silent(list []nodeLoad) error {
	n := 0
	for _, node := range list {
		if node.Error != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}

	return exit{exitFailure, fmt.Sprintf("%d of %s gave no answer", n, plural(len(list), "server"))}
}

// row returns the columns of a node.
func (n nodeLoad) row() []string {
	if n.Error != "" {
		return []string{n.URL, "-", "-", "-", "-", "-", "-", "-", n.Error, "-", "-"}
	}

	var refused []string
	for _, outcome := range slices.Sorted(maps.Keys(n.Refusals)) {
		refused = append(refused, fmt.Sprintf("%s %.1f", outcome, n.Refusals[outcome]))
	}

	return []string{
		n.URL,
		fmt.Sprintf("%.1f", n.Requests),
		fmt.Sprintf("%.1f", n.Uses),
		strings.Join(refused, ", "),
		fmt.Sprintf("%.0f/%.0f", n.Hashing, n.HashingMax),
		milliseconds(n.Password),
		milliseconds(n.Revocation),
		milliseconds(n.Staleness),
		n.Database,
		strconv.Itoa(int(n.Connections)),
		fmt.Sprintf("%.0f MB", n.Memory/(1<<20)),
	}
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.0f ms", seconds*1000) }

// loads compares two scrapes of the same nodes. The rates of a node whose first scrape failed are 0.
func loads(before, after []scraped, passed time.Duration) []nodeLoad {
	list := []nodeLoad{}
	for i, now := range after {
		if now.err != nil {
			list = append(list, nodeLoad{URL: now.url, Error: now.err.Error(), Refusals: map[string]float64{}})
			continue
		}

		previous := before[i].list
		if before[i].err != nil {
			previous = now.list
		}
		list = append(list, loadOf(now.url, counters(previous), now.list, passed.Seconds()))
	}

	return list
}

// counters returns the values of series by name and labels.
func counters(list []sample) map[string]float64 {
	values := map[string]float64{}
	for _, s := range list {
		values[s.name+s.labels] = s.value
	}

	return values
}

// loadOf returns what a node did since its metrics were before. A node that was started again counts from 0.
func loadOf(url string, before map[string]float64, now []sample, seconds float64) nodeLoad {
	n := nodeLoad{URL: url, Refusals: map[string]float64{}, Database: "up"}
	var ended, endings, hashed, passwords float64

	for _, s := range now {
		grown := s.value - before[s.name+s.labels]
		if grown < 0 {
			grown = s.value
		}

		switch s.name {
		case "jeton_build_info":
			n.Version = s.label("version")
		case "jeton_requests_total":
			n.Requests += grown / seconds
			outcome := s.label("outcome")
			if outcome != "ok" && grown > 0 {
				n.Refusals[outcome] += grown / seconds
			}
		case "jeton_uses_total":
			n.Uses += grown / seconds
		case "jeton_hasher_waiting":
			n.Hashing = s.value
		case "jeton_hasher_queue_max":
			n.HashingMax = s.value
		case "jeton_hasher_wait_seconds_total", "jeton_hasher_work_seconds_total":
			hashed += grown
		case "jeton_hasher_passwords_total":
			passwords = grown
		case "jeton_database_end_seconds_sum":
			ended = grown
		case "jeton_database_end_seconds_count":
			endings = grown
		case "jeton_database_heard_age_seconds":
			n.Staleness = s.value
		case "jeton_database_up":
			if s.value == 0 {
				n.Database = "down"
			}
		case "jeton_connections":
			n.Connections += s.value
		case "process_resident_memory_bytes":
			n.Memory = s.value
		}
	}

	if endings > 0 {
		n.Revocation = ended / endings
	}
	if passwords > 0 {
		n.Password = hashed / passwords
	}

	return n
}
