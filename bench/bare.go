package main

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// body is what every server under test answers.
const body = "{\"Secret-number\": 42}\n"

// bare is the least code that checks a session over HTTP: the limit that jeton is compared with.
type bare struct {
	mu       sync.RWMutex
	sessions map[[sha256.Size]byte]entry
}

// entry is what a session needs at the least: whose it is and when it expires, in seconds
// since 1970.
type entry struct {
	user    int64
	expires int64
}

// ServeHTTP implements http.Handler.
func (b *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie("jeton")
	if err != nil {
		http.Error(w, "no cookie", http.StatusUnauthorized)
		return
	}

	// By hash, as jeton does: a store that leaks must not hold cookies. Without it the bare
	// server would be another job, not the least code for this one.
	hash := sha256.Sum256([]byte(c.Value))
	b.mu.RLock()
	e, ok := b.sessions[hash]
	b.mu.RUnlock()

	if !ok || time.Now().Unix() >= e.expires {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}

	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write([]byte(body))
}

// bareRole is the process of the bare server.
func bareRole(args []string) error {
	f := flag.NewFlagSet("role-bare", flag.ContinueOnError)
	// The flags of a role have no help: this program alone passes them.
	addr, n, page := f.String("addr", "", ""), f.Int("sessions", 0, ""), f.String("page", "", "")

	if err := f.Parse(args); err != nil {
		return err
	}

	b := &bare{sessions: make(map[[sha256.Size]byte]entry, *n)}
	ends := time.Now().Add(24 * time.Hour).Unix()
	for i := range *n {
		b.sessions[sha256.Sum256([]byte(secret(i)))] = entry{int64(i), ends}
	}

	m := http.NewServeMux()
	m.Handle("GET /check", b)
	open := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }
	for _, path := range []string{"/open", forwardPath, forwardCheckPath} {
		m.HandleFunc("GET "+path, open)
	}

	if *page != "" {
		text, err := os.ReadFile(*page)
		if err != nil {
			return err
		}
		m.HandleFunc("GET "+pagePath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write(text)
		})
	}

	// It ends by a signal: that of stop, or of the kernel when the benchmark ends (startPinned).
	return http.ListenAndServe(*addr, m)
}

// The cost of a password, as internal/password sets it for new ones.
const (
	hashMemory = 19456 // KiB
	hashTime   = 2
	hashLanes  = 1
	hashKey    = 32
)

// hashRole hashes passwords on every processor for a while and prints how many a second:
// the limit of a login. It has the lowest priority, as jeton's hasher does, so that
// other programs on the machine slow both equally.
func hashRole(args []string) error {
	f := flag.NewFlagSet("role-hash", flag.ContinueOnError)
	run := f.Duration("run", time.Second, "")

	if err := f.Parse(args); err != nil {
		return err
	}

	beNice()
	var done atomic.Int64
	var wg sync.WaitGroup

	begin := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for salt := make([]byte, 16); time.Since(begin) < *run; done.Add(1) {
				argon2.IDKey([]byte("a password"), salt, hashTime, hashMemory, hashLanes, hashKey)
			}
		})
	}

	wg.Wait()

	return json.NewEncoder(os.Stdout).Encode(float64(done.Load()) / time.Since(begin).Seconds())
}
