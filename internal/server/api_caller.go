package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// apiCaller calls the REST API of the authorization server for its pages, in this process. The gate judges each call
// like a request of the browser: there is no second way into the API. It is safe for concurrent use.
type apiCaller struct{ mux *mux }

// Call implements pages.Caller.
func (c *apiCaller) Call(w *web.Reply, r *http.Request, method, target string, in, out any) error {
	_, err := c.call(w, r, method, target, in, out)
	return err
}

// Page implements pages.Caller.
func (c *apiCaller) Page(w *web.Reply, r *http.Request, target string, out any) (next string, err error) {
	header, err := c.call(w, r, http.MethodGet, target, nil, out)
	if err != nil {
		return "", err
	}

	link, more := strings.CutSuffix(header.Get("Link"), `>; rel="next"`)
	if !more {
		return "", nil
	}

	return strings.TrimPrefix(link, "<"), nil
}

// call sends a request to the mux and reads the response. It returns its headers.
func (c *apiCaller) call(
	w *web.Reply,
	r *http.Request,
	method string,
	target string,
	in any,
	out any,
) (http.Header, error) {
	req, err := apiRequest(r, method, target, in)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, target, err)
	}

	answer := &apiAnswer{header: http.Header{}}
	reply := &web.Reply{}
	reply.Reset(answer, w.ID, w.Start, w.Source)
	reply.Origin = w.Origin

	req = reply.Arrive(req, web.Pace{})
	c.mux.ServeHTTP(reply, req)
	reply.Finish()

	if reply.Status() >= http.StatusBadRequest {
		return nil, answer.problem(method, target)
	}
	if out != nil {
		err = json.Unmarshal(answer.body.Bytes(), out)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: read the response: %w", method, target, err)
	}

	return answer.header, nil
}

// apiRequest returns a request to the API that the browser that sent r could have sent itself.
func apiRequest(r *http.Request, method, target string, in any) (*http.Request, error) {
	body := []byte(nil)
	if in != nil {
		var err error
		body, err = json.Marshal(in)
		if err != nil {
			return nil, err
		}
	}

	req, err := http.NewRequestWithContext(r.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}

	req.Host = r.Host
	req.RequestURI = target
	req.RemoteAddr = r.RemoteAddr
	req.TLS = r.TLS

	// With the headers that say whether another site sent it: the API refuses its changes.
	for _, name := range []string{"Cookie", "Origin", "Sec-Fetch-Site", "User-Agent"} {
		values, ok := r.Header[name]
		if ok {
			req.Header[name] = values
		}
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}

	return req, nil
}

// apiAnswer is a response of the API.
type apiAnswer struct {
	header http.Header
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *apiAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter. The status is in the web.Reply.
func (*apiAnswer) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (a *apiAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }

// problem returns the error of a refusal.
func (a *apiAnswer) problem(method, target string) error {
	var p jeton.Problem
	err := json.NewDecoder(io.LimitReader(&a.body, 64<<10)).Decode(&p)

	outcome := jeton.FromCode(p.Code)
	if err != nil || outcome == nil {
		// The mux has logged why, under the id of the request.
		return fmt.Errorf("%s %s: internal error", method, target)
	}

	if p.Detail != "" {
		outcome = jeton.WithDetail(outcome, p.Detail)
	}

	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err == nil {
		outcome = jeton.WithRetryAfter(outcome, time.Duration(seconds)*time.Second)
	}

	return outcome
}
