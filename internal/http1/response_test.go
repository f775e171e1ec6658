package http1_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// responses are what handlers do with a response.
var responses = []struct {
	name   string
	answer http.HandlerFunc
}{
	{"nothing", func(http.ResponseWriter, *http.Request) {}},
	{"a body alone", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
	{"a second status", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(401)
		w.WriteHeader(200)
	}},
	{"no content", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(204)
		_, err := io.WriteString(w, "x")
		if err == nil {
			panic("204 had a body")
		}
	}},
	{"not modified", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Content-Type", "text/plain", "Content-Length", "9", "Etag", "a")
		w.WriteHeader(304)
	}},
	{"a value with lines", func(w http.ResponseWriter, _ *http.Request) { set(w, "A", " x\r\nB: y ") }},
	{"a name that is none", func(w http.ResponseWriter, _ *http.Request) { w.Header()["A: x\r\nB"] = []string{"y"} }},
	{"a name of many characters", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X_a!#$%&'*+.^`|~"] = []string{"y", "z"}
	}},
	{"a header that comes too late", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "A", "1")
		w.WriteHeader(200)
		set(w, "A", "2", "B", "3")
	}},
	{"no type, on purpose", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	}},
	{"a compressed body", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "<html>")
	}},
	{"a date of its own", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Date", "Thu, 01 Jan 1970 00:00:00 GMT")
	}},
	{"the last response", func(w http.ResponseWriter, _ *http.Request) { set(w, "Connection", "close") }},
	{"less than it promises", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Content-Length", "9")
		_, _ = io.WriteString(w, "abc")
	}},
	{"more than it promises", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Content-Length", "3")
		_, _ = io.WriteString(w, "abc")
		_, err := io.WriteString(w, "def")
		if err == nil {
			panic("the body was longer than Content-Length")
		}
	}},
	{"a length that is none", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Content-Length", "-3")
		_, _ = io.WriteString(w, "abc")
	}},
	{"a long body", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 5000 {
			_, _ = fmt.Fprintf(w, "%d\n", i)
		}
	}},
	{"a long body at once", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("<html>", 50_000))
	}},
	{"a long body of a known length", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Content-Length", "300000")
		_, _ = io.WriteString(w, "abc")
		_, _ = io.WriteString(w, strings.Repeat("x", 299_997))
	}},
	{"a long body that is too short", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Content-Length", "300000")
		_, _ = io.WriteString(w, strings.Repeat("x", 299_999))
	}},
	{"a body in parts", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "A", "1")
		flush(w)
		set(w, "A", "2")
		_, _ = io.WriteString(w, "ab")
		flush(w)
		flush(w)
		_, _ = io.WriteString(w, "c")
	}},
	{"parts of nothing", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(204)
		flush(w)
	}},
	{"a panic in parts", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ab")
		flush(w)
		panic(http.ErrAbortHandler)
	}},
	{"a trailer", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Trailer", "A, b", "A", "0", "C", "1")
		flush(w)
		_, _ = io.WriteString(w, "ab")
		set(w, "A", "2", "B", "3", "C", "4")
	}},
	{"a trailer without its name before", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ab")
		flush(w)
		set(w, http.TrailerPrefix+"A", "2", "B", "3")
	}},
	{"a trailer of a short body", func(w http.ResponseWriter, _ *http.Request) {
		set(w, "Trailer", "A")
		_, _ = io.WriteString(w, "ab")
		set(w, "A", "2")
	}},
	{"a trailer of a short body without its name before", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ab")
		set(w, http.TrailerPrefix+"A", "2")
	}},
	{"a status without a text", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299) }},
	{"a status that is too low", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(50) }},
	{"a status that is too high", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1000) }},
	{"a type that two parts show", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<ht")
		_, _ = io.WriteString(w, "ml>"+strings.Repeat("x", 20_000))
	}},
	{"a trailer that is none", func(w http.ResponseWriter, _ *http.Request) {
		flush(w)
		set(w, http.TrailerPrefix+"A: x\r\nB", "1")
	}},
}

func set(w http.ResponseWriter, fields ...string) {
	for i := 0; i < len(fields); i += 2 {
		w.Header().Set(fields[i], fields[i+1])
	}
}

func flush(w http.ResponseWriter) {
	if err := http.NewResponseController(w).Flush(); err != nil {
		panic(err)
	}
}

// received is what a client sees of a response.
type received struct {
	Status  int    // 0: the connection was closed without a response
	Text    string // of the status
	Header  http.Header
	Body    string
	Failed  bool // the body is incomplete
	Trailer http.Header
	Last    bool // no other response follows
}

// receive reads a response, and tries to get another one.
func receive(t *testing.T, s *server, path string) received {
	t.Helper()
	c, r := s.dial(t)
	if _, err := io.WriteString(c, get(path)); err != nil {
		t.Fatal(err)
	}

	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodGet})
	if err != nil {
		return received{Last: true}
	}
	defer resp.Body.Close()

	body, err := io.ReadAll(resp.Body)
	if _, dateErr := http.ParseTime(resp.Header.Get("Date")); dateErr != nil {
		t.Errorf("%s: Date: %v", path, dateErr)
	}
	if !strings.Contains(resp.Header.Get("Date"), "1970") {
		resp.Header.Del("Date")
	}
	resp.Header.Del("Content-Length") // a short body may be sent in one way or the other

	got := received{
		Status:  resp.StatusCode,
		Text:    resp.Status,
		Header:  resp.Header,
		Body:    string(body),
		Failed:  err != nil,
		Trailer: resp.Trailer,
		Last:    resp.Close || err != nil,
	}
	if !got.Last {
		_, _ = io.WriteString(c, get("/after"))
		got.Last = readStatus(r) == 0
	}

	return got
}

// readStatus returns the status of a response; 0: there is none.
func readStatus(r *bufio.Reader) int {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()

	return resp.StatusCode
}

// TestResponsesAreThoseOfNetHTTP lets one handler answer through both.
func TestResponsesAreThoseOfNetHTTP(t *testing.T) {
	for _, tc := range responses {
		t.Run(tc.name, func(t *testing.T) {
			s := startWith(t, tc.answer)
			got, want := receive(t, s, "/plain/a"), receive(t, s, "/a")
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+.200v, want as net/http has it %+.200v", got, want)
			}
		})
	}
}

// TestPartsArriveBeforeTheHandlerReturns reads the beginning of a response that goes on.
func TestPartsArriveBeforeTheHandlerReturns(t *testing.T) {
	read := make(chan struct{})
	s := startWith(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		flush(w)
		<-read
		_, _ = io.WriteString(w, "second")
	})

	c, r := s.dial(t)
	_, _ = io.WriteString(c, get("/plain/a"))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	first := make([]byte, len("first"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first" {
		t.Errorf("got %q, %v before the handler returns, want the first part", first, err)
	}
	close(read)
	rest, err := io.ReadAll(resp.Body)
	if string(rest) != "second" || err != nil {
		t.Errorf("got %q, %v, want the second part", rest, err)
	}
}

// TestAClientThatHasGoneIsFound closes a connection while its request is being answered.
func TestAClientThatHasGoneIsFound(t *testing.T) {
	asked, gone, found := make(chan bool), make(chan struct{}), make(chan struct{})
	s := startWith(t, func(w http.ResponseWriter, _ *http.Request) {
		client := w.(interface{ Left() bool })
		asked <- client.Left()
		<-gone
		for !client.Left() {
			// The end of the connection is on its way.
		}
		close(found)
	})

	c, _ := s.dial(t)
	_, _ = io.WriteString(c, get("/plain/a"))
	if <-asked {
		t.Error("Left = true, and the client is there")
	}
	_ = c.Close()
	close(gone)
	<-found
}

// TestRequestsThatAreKeptStayAsTheyAre keeps each request of a connection, and looks at them at its end.
func TestRequestsThatAreKeptStayAsTheyAre(t *testing.T) {
	var kept []*http.Request
	s := startWith(t, func(_ http.ResponseWriter, r *http.Request) { kept = append(kept, r) })

	c, r := s.dial(t)
	for _, path := range []string{"/plain/a?b=c", "/plain/d", "/plain/e"} {
		head := strings.TrimSuffix(get(path), "\r\n") + "X-Path: " + path + "\r\n\r\n"
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		if readStatus(r) != http.StatusOK {
			t.Fatalf("%s: no response", path)
		}
	}

	for i, want := range []string{"/plain/a?b=c", "/plain/d", "/plain/e"} {
		got := kept[i]
		if got.URL.String() != want || got.RequestURI != want || got.Header.Get("X-Path") != want {
			t.Errorf("request %d is %s %s %v, want %s", i, got.URL, got.RequestURI, got.Header, want)
		}
	}
}
