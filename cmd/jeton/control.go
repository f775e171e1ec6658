//go:build !walletonly

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// control calls the API with the operator's authority: that of the running server, or in this
// process if no server is running.
type control struct {
	http    *http.Client
	end     func()
	where   string // what it changes, for the operator
	offline bool   // no server is running; the data directory is locked until end
}

// openControl opens the API of a data directory. A running server has its own configuration:
// the file is read only for the directory, and may be invalid.
func openControl(ctx context.Context, p *place) (*control, error) {
	dir, err := p.directory(config.DataDir(p.path(), os.LookupEnv))
	if err != nil {
		return nil, err
	}

	const patience = 3 * time.Second
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := server.DialControl(ctx, dir); err == nil {
			_ = conn.Close()
			return &control{
				http:  &http.Client{Transport: dialing(dir)},
				end:   func() {},
				where: fmt.Sprintf("in %s (server pid %s)", dir, server.Holder(dir)),
			}, nil
		}

		c, err := openOffline(ctx, p)

		// A server that is starting or stopping holds the directory and does not answer.
		if err == nil || !errors.Is(err, server.ErrInUse) {
			return c, withServers(ctx, err)
		}
		if time.Since(start) > patience {
			return nil, withSocket(dir, err)
		}
	}
}

// withSocket says that the socket of a running server was deleted, if that is why it does not
// answer.
func withSocket(dir string, err error) error {
	socket := server.ControlSocket(dir)
	pid := server.Holder(dir)
	_, missing := os.Lstat(socket)
	_, notServer := strconv.Atoi(pid) // a command, which has no socket

	if !errors.Is(missing, fs.ErrNotExist) || notServer != nil {
		return err
	}

	return fmt.Errorf("the server pid %s runs, but its control socket %s is gone: send it SIGHUP", pid, socket)
}

// openOffline runs the API in this process, with the lock of the data directory.
func openOffline(ctx context.Context, p *place) (*control, error) {
	conf, err := p.server()
	if err != nil {
		return nil, err
	}

	remove := func() {}
	if p.dry {
		remove, err = temporary(&conf)
		if err != nil {
			return nil, err
		}
	}

	handler, end, err := server.Offline(ctx, conf)
	if err != nil {
		remove()
		return nil, err
	}

	return &control{
		http:    &http.Client{Transport: inProcess{handler}},
		end:     func() { end(); remove() },
		where:   fmt.Sprintf("in %s (no server is running on it)", conf.Where()),
		offline: true,
	}, nil
}

// dialing sends every request to the control socket of a data directory, whatever its host.
func dialing(dir string) http.RoundTripper {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return server.DialControl(ctx, dir) },
	}
}

// inProcess calls a handler without a connection. The response can be read while it is
// written: a backup may be larger than memory.
type inProcess struct{ handler http.Handler }

// RoundTrip returns when the handler has written its status, as an HTTP connection does, while
// the handler may still be writing the body. A handler that aborts (http.ErrAbortHandler)
// makes the body end with io.ErrUnexpectedEOF; any other panic is a bug and ends the program.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody // a handler always has a body
	}

	from, to := io.Pipe()
	w := &piped{header: http.Header{}, body: to, answer: make(chan *http.Response, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)

		defer func() {
			p := recover()
			switch p {
			case nil:
			case http.ErrAbortHandler: // as a connection that is closed early
				w.WriteHeader(http.StatusInternalServerError)
				_ = to.CloseWithError(io.ErrUnexpectedEOF)
			default:
				panic(p)
			}
		}()

		t.handler.ServeHTTP(w, r)
		w.WriteHeader(http.StatusOK)
		_ = to.Close()
	}()

	answer := <-w.answer
	answer.Request = r
	answer.Body = &pipedBody{from, ended}

	return answer, nil
}

// piped is the response that a handler is writing.
type piped struct {
	header http.Header
	body   *io.PipeWriter
	answer chan *http.Response
	once   sync.Once
}

func (w *piped) Header() http.Header { return w.header }

// WriteHeader delivers the response to RoundTrip. Only the first call counts.
func (w *piped) WriteHeader(status int) {
	if status < http.StatusOK {
		return // an informational response
	}

	w.once.Do(func() {
		w.answer <- &http.Response{
			Status:        fmt.Sprintf("%d %s", status, http.StatusText(status)),
			StatusCode:    status,
			Proto:         "HTTP/1.1",
			ProtoMajor:    1,
			ProtoMinor:    1,
			Header:        w.header.Clone(),
			ContentLength: -1,
		}
	})
}

func (w *piped) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// pipedBody waits for the handler when it is closed: only then may the store be closed.
type pipedBody struct {
	*io.PipeReader
	ended chan struct{}
}

func (b *pipedBody) Close() error {
	err := b.PipeReader.Close()
	<-b.ended
	return err
}

// call calls the API. in and out may be nil. The error of a refusal is the outcome that the
// server returned.
func (c *control) call(ctx context.Context, method, path string, in, out any) error {
	_, err := c.page(ctx, method, path, in, out)
	return err
}

// page is call that also returns the path of the next page of a list, or "".
func (c *control) page(ctx context.Context, method, path string, in, out any) (next string, err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return "", err
		}
		body = bytes.NewReader(b)
	}

	r, err := http.NewRequestWithContext(ctx, method, "http://control"+path, body)
	if err != nil {
		return "", err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}

	answer, err := c.http.Do(r)
	if err != nil {
		return "", fmt.Errorf("%w: %w: %w", jeton.ErrUnavailable, errNoAnswer, err)
	}
	defer answer.Body.Close()

	if answer.StatusCode >= 400 {
		return "", problem(answer)
	}
	if out == nil {
		return "", nil
	}

	return nextPage(answer.Header.Get("Link")), json.NewDecoder(answer.Body).Decode(out)
}

// errNoAnswer is why a call has no answer, not even a refusal.
var errNoAnswer = errors.New("call the server")

// nextPage returns the path in a header Link of the API, or "".
func nextPage(link string) string {
	path, ok := strings.CutSuffix(link, `>; rel="next"`)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(path, "<")
}

// problem returns the error of a refusal.
func problem(answer *http.Response) error {
	var p jeton.Problem
	if err := json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&p); err != nil {
		return fmt.Errorf("got %s from the server", answer.Status)
	}

	kind := jeton.FromCode(p.Code)
	if kind == nil {
		return fmt.Errorf("%s (request %s; see the server's log)", p.Title, p.Request)
	}
	if p.Detail != "" {
		return jeton.WithDetail(kind, p.Detail)
	}

	return kind
}

// withControl runs a command with the API of a place.
func withControl(
	p *place,
	run func(ctx context.Context, c *cobra.Command, args []string, api *control) error,
) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		api, err := openControl(c.Context(), p)
		if err != nil {
			return err
		}
		defer api.end()

		return run(c.Context(), c, args, api)
	}
}

// change is a request that changes something, and what to print when it is done.
type change struct {
	method, path string
	body         any    // or nil
	subject      string // of a refusal, such as "user diane"
	done         string
}

// changing runs a command that makes one change. of reads its arguments and flags.
func changing(p *place, of func(args []string) (change, error)) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		ch, err := of(args)
		if err != nil {
			return err
		}

		return withControl(p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
			err := ctl.call(ctx, ch.method, ch.path, ch.body, nil)
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), ch.done, ctl.where)
			}
			return named(err, ch.subject)
		})(c, args)
	}
}

// changeCommand makes a command of one change, with the flags of a place.
func changeCommand(c *cobra.Command, of func(args []string) (change, error)) *cobra.Command {
	var p place
	c.RunE = changing(&p, of)
	return withFlags(c, &p)
}

// listing runs a command that prints a list of T with all its pages, as JSON or as a table.
func listing[T any](
	p *place,
	out *output,
	path func() string,
	headings []string,
	row func(T) []string,
) func(*cobra.Command, []string) error {
	return listingOf(p, out, path, nil, headings, row)
}

// owners returns the paths of a user and a client by whom a list is chosen, by what they are called in a refusal. The
// names are those of flags; nil or "": none.
func owners(user, client *string) func() map[string]string {
	return func() map[string]string {
		paths := map[string]string{}
		if user != nil && *user != "" {
			paths["user "+*user] = userPath(*user, "")
		}
		if client != nil && *client != "" {
			paths["client "+*client] = "/api/v1/clients/" + url.PathEscape(naming.ClientInPath(*client))
		}

		return paths
	}
}

// known returns jeton.ErrNotFound if one of the owners of a list that is empty does not exist: a name that is
// misspelled has nothing, either.
func (c *control) known(ctx context.Context, owners map[string]string) error {
	for what, path := range owners {
		if err := c.call(ctx, http.MethodGet, path, nil, nil); err != nil {
			return named(err, what)
		}
	}

	return nil
}

// listingOf is listing for a list that is chosen by owners. An empty one of an unknown owner is not found.
func listingOf[T any](
	p *place,
	out *output,
	path func() string,
	owners func() map[string]string,
	headings []string,
	row func(T) []string,
) func(*cobra.Command, []string) error {
	return withControl(p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		list := []T{}
		for next := path(); next != ""; {
			var page []T
			var err error
			next, err = ctl.page(ctx, http.MethodGet, next, nil, &page)
			if err != nil {
				return err
			}

			list = append(list, page...)
		}
		if len(list) == 0 && owners != nil {
			if err := ctl.known(ctx, owners()); err != nil {
				return err
			}
		}

		var rows [][]string
		for _, item := range list {
			rows = append(rows, row(item))
		}

		return out.print(c.OutOrStdout(), list, headings, rows)
	})
}

// named adds the subject of a refusal, on one line: the name may be one that is refused for its line breaks.
func named(err error, subject string) error {
	if subject != "" && jeton.Outcome(err) != nil {
		return fmt.Errorf("%s: %w", oneLine(subject), err)
	}
	return err
}
