package password

import (
	"encoding/json"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/need"
)

// Made with the programs themselves, or where Debian has none of the version, with the
// function under them:
//
//	htpasswd -nbm / -nbs / -nbB -C 4; openssl passwd -5 / -6 -salt saltsalt
//	python3: crypt.crypt(pw, "$6$rounds=1000$saltsalt"); hashlib.scrypt(pw, salt=…, n=1024, r=8, p=1 or 5, dklen=64)
var importedKnown = []struct{ name, kind, password, hash string }{
	{
		"crypt(3) with rounds",
		"sha512-crypt",
		"pässwörd",
		"$6$rounds=1000$saltsalt$osotUMSS7K.0TIfteadkw2nXkU3mHd2sic8QLeQ4NmBYvnNlee/nDNLXQJypj6pZ" +
			"frDryJ6nKZzumyw65bri70",
	},
	{
		"werkzeug's scrypt",
		"werkzeug scrypt",
		"pässwörd",
		"scrypt:1024:8:1$NaClNaClNaClNaCl$f6ec914b453d4b44b85a9428156eff29aed78555df9ed08d1660d02" +
			"f56883166704319bdd6229af3271e1181875af88bb9bda38c9acb49bd778be1a6a9fd4912",
	},
	{
		"Django's scrypt",
		"django scrypt",
		"pässwörd",
		"scrypt$1024$seasalt$8$5$Hrj5EOYU1fDdp4N6mee/yO731QAuvsQCl1gIsxUYu+KDtJGkue3SeF26nWQ6Qqr+" +
			"+6XkDJrOpPVHIrntkzigGQ==",
	},
	{
		"Django's bcrypt of a SHA-256",
		"django bcrypt_sha256",
		"pässwörd",
		"bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuqXYpzrHdq/GQDRDZpcNTxdbndpFhZlW",
	},
	{"htpasswd -s", "{SHA}", "12345678", shaOf12345678},
}

func TestImportedKnownAnswers(t *testing.T) {
	twice(t, func(t *testing.T, cfg Config) {
		p := running(t, cfg)
		for _, k := range importedKnown {
			t.Run(k.name, func(t *testing.T) {
				st, err := Recognize(k.hash)
				if err != nil || st.Kind != k.kind {
					t.Errorf("Recognize = %+v, %v, want %s", st, err, k.kind)
				}
				checkImported(t, p, k.password, k.hash)
			})
		}
	})
}

// checkImported checks that a hash is of the password and of no other.
func checkImported(t *testing.T, p *Pool, pw, hash string) {
	t.Helper()
	ok, rehash, err := p.Verify(t.Context(), hash, jeton.NewSecret(pw))
	own := strings.HasPrefix(hash, phcHead)
	if !ok || !rehash && !own || err != nil {
		t.Errorf("Verify(%s) = %v, %v, %v, want true and to be hashed again", hash, ok, rehash, err)
	}

	// Not one at the end: bcrypt sees only the first 72 bytes.
	ok, rehash, err = p.Verify(t.Context(), hash, jeton.NewSecret("x"+pw))
	if ok || rehash || err != nil {
		t.Errorf("Verify(%s) of another password = %v, %v, %v, want false", hash, ok, rehash, err)
	}
}

// tool returns the path of a program, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	return need.Program(t, name)
}

// taken are the schemes of passlib of which every known hash is checked, but for the
// exceptions below.
var taken = map[string]bool{
	"passlib sha256_crypt":         true,
	"passlib sha512_crypt":         true,
	"passlib md5_crypt":            true,
	"passlib apr_md5_crypt":        true,
	"passlib bcrypt":               true,
	"passlib bcrypt_sha256":        true,
	"passlib argon2":               true,
	"passlib scrypt":               true,
	"passlib django_pbkdf2_sha256": true,
	"passlib django_pbkdf2_sha1":   true,
	"passlib django_bcrypt":        true,
	"passlib django_bcrypt_sha256": true,
	"passlib django_argon2":        true,
	"passlib pbkdf2_sha1":          true,
	"passlib pbkdf2_sha256":        true,
	"passlib pbkdf2_sha512":        true,
	"werkzeug":                     true,
	"django":                       true,
}

// left names what is refused of a scheme that is taken, by how the hash begins, and why.
var left = map[string]string{
	"$2$":         "the first bcrypt",
	"$argon2i$m=": "version 16 of argon2",
}

func TestPasslibsKnownHashes(t *testing.T) {
	tool(t, "/usr/bin/python3")
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/known.py")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if !strings.Contains(stderr.String(), "No module named 'passlib") {
			t.Fatalf("known.py: %v: %s", err, stderr.String())
		}
		need.Missing(t, "passlib is not installed; scripts/tools.sh installs it")
	}

	var list [][3]string
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatal(err)
	}

	p := running(t, Config{Workers: 2, Queue: 64})
	counts := map[string]int{}
	for _, known := range list {
		scheme := known[0]
		pw := known[1]
		hash := known[2]
		st, err := Recognize(hash)
		switch {
		case pw == "":
			// An empty password never logs in, whatever is stored.
			if ok, _, verr := p.Verify(t.Context(), hash, jeton.NewSecret(pw)); ok || err == nil && verr != nil {
				t.Errorf("%s: Verify(%s) of an empty password = %v, %v, want false and nil", scheme, hash, ok, verr)
			}
		case taken[scheme] && err == nil:
			counts[scheme]++
			checkImported(t, p, pw, hash)
			weak := strings.Contains(scheme, "md5")
			if st.Weak != weak {
				t.Errorf("%s: weak = %v, want %v", scheme, st.Weak, weak)
			}
		case taken[scheme] && !refused(hash):
			t.Errorf("%s: Recognize(%s): %v", scheme, hash, err)
		case !taken[scheme] && err == nil && !alike(scheme):
			t.Errorf("%s: Recognize(%s) = %s, want an error", scheme, hash, st.Kind)
		case err != nil:
			if len(hash) > 12 && strings.Contains(err.Error(), hash) {
				t.Errorf("%s: the error contains the hash: %v", scheme, err)
			}
			if ok, _, err := p.Verify(t.Context(), hash, jeton.NewSecret(pw)); ok || err == nil && hash != "" {
				t.Errorf("%s: Verify(%s) of a refused hash = %v, %v, want an error", scheme, hash, ok, err)
			}
		}
	}

	t.Log(counts)

	for scheme := range taken {
		if scheme != "django" && scheme != "werkzeug" && counts[scheme] == 0 {
			t.Errorf("no hash of %s was checked", scheme)
		}
	}
}

func refused(hash string) bool {
	for head := range left {
		if strings.HasPrefix(hash, head) {
			return true
		}
	}

	return false
}

// alike reports whether a scheme that is not in the list writes hashes like one that is.
func alike(scheme string) bool { return scheme == "passlib ldap_sha1" }

func TestRealTools(t *testing.T) {
	p := running(t, Config{Workers: 2, Queue: 64})
	for _, tc := range []struct {
		name string
		argv []string
		cut  string // what stands before the hash
		weak bool
	}{
		{"openssl's sha256-crypt", []string{"openssl", "passwd", "-5", "pässwörd"}, "", false},
		{"openssl's sha512-crypt", []string{"openssl", "passwd", "-6", "pässwörd"}, "", false},
		{"openssl's md5-crypt", []string{"openssl", "passwd", "-1", "pässwörd"}, "", true},
		{"openssl's apr1", []string{"openssl", "passwd", "-apr1", "pässwörd"}, "", true},
		{"htpasswd's bcrypt", []string{"htpasswd", "-nbB", "-C", "4", "diane", "pässwörd"}, "diane:", false},
		{"htpasswd's apr1", []string{"htpasswd", "-nbm", "diane", "pässwörd"}, "diane:", true},
		{"htpasswd's SHA", []string{"htpasswd", "-nbs", "diane", "pässwörd"}, "diane:", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), tool(t, tc.argv[0]), tc.argv[1:]...).Output()
			if err != nil {
				t.Fatal(err)
			}

			hash := strings.TrimPrefix(strings.TrimSpace(string(out)), tc.cut)
			if st, err := Recognize(hash); err != nil || st.Weak != tc.weak {
				t.Errorf("Recognize(%s) = %+v, %v, want weak %v", hash, st, err, tc.weak)
			}

			checkImported(t, p, "pässwörd", hash)
		})
	}
}

var (
	dots43 = strings.Repeat(".", 43)
	dots86 = strings.Repeat(".", 86)
	dots53 = strings.Repeat(".", 53)
	b64of  = func(n int) string { return strings.Repeat("A", (n*8+5)/6) }
	hex64  = strings.Repeat("ab", 64)
)

func TestRecognizeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, hash string
		want       string // in the error; "" for none
	}{
		{"a plain password", "hunter2hunter2", "not a password hash that we know"},
		{"nothing", "", "empty"},
		{"a locked account of shadow", "!", "locked"},
		{"an unusable password of Django", "!0x9a8bhunter2", "locked"},
		{"longer than any", "$6$" + strings.Repeat("a", maxImported), "bytes long"},
		{"a line end inside", "$5$salt\n$" + dots43, "control character"},
		{"des-crypt", "rEK1ecacw.7.c", "not a password hash that we know"},
		{"phpass", "$P$7JaFQsPzJSuenezefD/3jHgt5hVfNH0", "phpass"},
		{"yescrypt", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "yescrypt"},
		{"a salted SHA of LDAP", "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "LDAP"},
		{"the first bcrypt", "$2$04$" + dots53, "first bcrypt"},
		{"the faulty bcrypt", "$2x$04$" + dots53, "fault"},

		{"the most rounds of sha2-crypt", "$6$rounds=5000000$salt$" + dots86, ""},
		{"a round more", "$6$rounds=5000001$salt$" + dots86, "rounds must be 1000 to 5000000"},
		{"rounds past 32 bits", "$6$rounds=4294968296$salt$" + dots86, "rounds must be"},
		{"rounds past 64 bits", "$6$rounds=18446744073709552616$salt$" + dots86, "rounds must be"},
		{"too few rounds", "$5$rounds=999$salt$" + dots43, "rounds must be"},
		{"rounds below zero", "$5$rounds=-1$salt$" + dots43, "rounds must be"},
		{"rounds with a leading zero", "$5$rounds=05000$salt$" + dots43, "rounds must be"},
		{"a salt of 17", "$5$" + strings.Repeat("s", 17) + "$" + dots43, "salt"},
		{"a salt with a colon", "$5$a:b$" + dots43, "salt"},
		{"no digest", "$5$salt", "digest"},
		{"a digest of the other", "$5$salt$" + dots86, "digest"},
		{"a digest no encoder writes", "$5$salt$" + dots43[:42] + "z", "digest"},
		{"something after the digest", "$5$salt$" + dots43 + "$", "digest"},

		{"the most costly bcrypt", "$2b$15$" + dots53, ""},
		{"a costlier one", "$2b$16$" + dots53, "cost must be 4 to 15"},
		{"the costliest", "$2b$31$" + dots53, "cost must be"},
		{"too cheap a one", "$2b$03$" + dots53, "cost must be"},
		{"a cost of one digit", "$2b$5$" + dots53, "two digits"},
		{"a cost that is none", "$2b$-5$" + dots53, "cost must be"},
		{"bcrypt cut short", "$2b$10$" + dots53[1:], "53 characters"},
		{"a letter bcrypt has not", "$2b$10$" + dots53[1:] + "+", "not what bcrypt writes"},
		{"a digest bcrypt does not write", "$2b$10$" + dots53[1:] + "/", "not what bcrypt writes"},
		{"a salt with bits left over, which old programs wrote", "$2b$10$" + dots53[:21] + "/" + dots53[:31], ""},
		{"a costly bcrypt-sha256", "$bcrypt-sha256$v=2,t=2b,r=16$" + dots53[:22] + "$" + dots53[:31], "cost must be"},
		{
			"a bcrypt-sha256 of another version",
			"$bcrypt-sha256$v=3,t=2b,r=12$" + dots53[:22] + "$" + dots53[:31],
			"bcrypt-sha256",
		},
		{
			"a bcrypt-sha256 that smuggles a cost",
			"$bcrypt-sha256$2b,4$31$" + dots53[:22] + "$" + dots53[:31],
			"three parts",
		},
		{"a costly one of Django", "bcrypt_sha256$$2b$16$" + dots53, "cost must be"},

		{"the most rounds of pbkdf2", "$pbkdf2-sha256$10000000$AAAA$" + b64of(32), ""},
		{"a round more of it", "$pbkdf2-sha256$10000001$AAAA$" + b64of(32), "rounds must be 1 to 10000000"},
		{"the most rounds with sha512", "$pbkdf2-sha512$5000000$AAAA$" + b64of(64), ""},
		{"a round more with sha512", "pbkdf2:sha512:5000001$salt$" + hex64, "rounds must be 1 to 5000000"},
		{"the rounds that 31 bits hold", "$pbkdf2-sha512$2147483647$AAAA$" + b64of(64), "rounds must be"},
		{"no rounds", "$pbkdf2-sha256$0$AAAA$" + b64of(32), "rounds must be"},
		{"a key of two blocks", "$pbkdf2-sha256$1000$AAAA$" + b64of(64), "another length"},
		{"the base64 of others", "$pbkdf2-sha256$1000$AA+A$" + b64of(32), "passlib's base64"},
		{"no salt", "$pbkdf2-sha256$1000$$" + b64of(32), "salt"},
		{"werkzeug with rounds too many", "pbkdf2:sha256:10000001$salt$" + hex64[:64], "rounds must be"},
		{"werkzeug without rounds", "pbkdf2:sha256$salt$" + hex64[:64], "rounds must be"},
		{"werkzeug with md5", "pbkdf2:md5:1000$salt$" + hex64[:32], "none of sha1"},
		{"werkzeug in capitals", "pbkdf2:sha256:1000$salt$" + strings.ToUpper(hex64[:64]), "small letters"},
		{"Django with rounds too many", "pbkdf2_sha256$10000001$salt$" + b64of(32) + "=", "rounds must be"},

		{"the most memory of scrypt", "$scrypt$ln=18,r=8,p=1$AAAA$" + b64of(32), ""},
		{"an N too great", "$scrypt$ln=19,r=1,p=1$AAAA$" + b64of(32), "ln must be 1 to 18"},
		{"an N that would be one again", "$scrypt$ln=64,r=1,p=1$AAAA$" + b64of(32), "ln must be"},
		{"too much memory by r", "$scrypt$ln=18,r=9,p=1$AAAA$" + b64of(32), "N times r must be"},
		{"too much work by p", "$scrypt$ln=18,r=8,p=2$AAAA$" + b64of(32), "N times r times p"},
		{"lanes without end", "$scrypt$ln=1,r=1024,p=2$AAAA$" + b64of(32), "r times p"},
		{"an r that overflows", "$scrypt$ln=1,r=4294967295,p=4294967295$AAAA$" + b64of(32), "r must be"},
		{"werkzeug's scrypt with too much memory", "scrypt:524288:8:1$salt$" + hex64, "N must be"},
		{"werkzeug's scrypt with an odd N", "scrypt:32767:8:1$salt$" + hex64, "power of two"},
		{"Django's scrypt with too much work", "scrypt$262144$salt$8$2$" + b64of(63) + "AAAA", "N times r times p"},

		{"the most memory of argon2", "$argon2id$v=19$m=262144,t=8,p=4$" + b64of(16) + "$" + b64of(32), ""},
		{"a KiB more", "$argon2id$v=19$m=262145,t=1,p=4$" + b64of(16) + "$" + b64of(32), "m must be"},
		{
			"the memory of the whole machine",
			"$argon2i$v=19$m=4294967295,t=1,p=1$" + b64of(16) + "$" + b64of(32),
			"m must be",
		},
		{"a pass more", "$argon2id$v=19$m=262144,t=9,p=4$" + b64of(16) + "$" + b64of(32), "t must be 1 to 8"},
		{"passes without end", "$argon2d$v=19$m=8,t=4294967295,p=1$" + b64of(16) + "$" + b64of(32), "t must be"},
		{"lanes of argon2", "$argon2id$v=19$m=262144,t=1,p=33$" + b64of(16) + "$" + b64of(32), "p must be"},
		{
			"too little memory for its lanes",
			"$argon2id$v=19$m=31,t=2,p=4$" + b64of(16) + "$" + b64of(32),
			"m must be 32",
		},
		{"the version before", "$argon2i$m=512,t=2,p=2$" + b64of(16) + "$" + b64of(32), "version 19"},
		{"more than the cost", "$argon2i$v=19$m=512,t=2,p=2,data=AAAA$" + b64of(16) + "$" + b64of(32), "m=,t=,p="},
		{
			"Django's argon2 of another kind",
			"argon2$bcrypt$v=19$m=512,t=2,p=2$" + b64of(16) + "$" + b64of(32),
			"none of argon2id",
		},
		{"a digest of three bytes", "$argon2i$v=19$m=512,t=2,p=2$" + b64of(16) + "$" + b64of(3), "digest"},

		{"a SHA cut short", "{SHA}fCIvspJ9goryL1khNOiTJIBjfA", "20 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			st, err := Recognize(tc.hash)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Recognize: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Recognize = %+v, %v, want an error with %q", st, err, tc.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error contains the hash: %v", err)
			}
		})
	}
}

// TestImportedPasswordsWithZeroBytes: for bcrypt, "a" and "a", a zero byte, "a" are
// one password.
func TestImportedPasswordsWithZeroBytes(t *testing.T) {
	p := running(t, Config{Workers: 1, Queue: 4})
	const bcryptOfA = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy" // of "", from bcrypt's own tests
	for _, tc := range []struct{ name, hash, pw string }{
		{"zero bytes alone for the empty password of bcrypt", bcryptOfA, "\x00"},
		{"two of them", bcryptOfA, "\x00\x00"},
		{"what begins like a password of crypt(3)", importedKnown[0].hash, "pässwörd\x00more"},
		{"the beginning of one", importedKnown[0].hash, "pässwör"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if ok, _, err := p.Verify(t.Context(), tc.hash, jeton.NewSecret(tc.pw)); ok || err != nil {
				t.Errorf("Verify = %v, %v, want false", ok, err)
			}
		})
	}
}

// TestImportedIsCheckedWithTheWorkOfOurs checks the job that a worker gets: besides the
// imported hash it has the work of a default one, whatever the password.
func TestImportedIsCheckedWithTheWorkOfOurs(t *testing.T) {
	p, err := New(Config{Workers: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name, stored, pw, imported string
	}{
		{"the password", shaOf12345678, "12345678", shaOf12345678},
		{"another password", shaOf12345678, "12345679", shaOf12345678},
		{"too long", shaOf12345678, strings.Repeat("x", Max+1), ""},
		{"no password", shaOf12345678, "", ""},
		{"argon2id that costs less than ours", known[2].phc, "12345678", known[2].phc},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var wg sync.WaitGroup
			wg.Go(func() { _, _, _ = p.Verify(t.Context(), tc.stored, jeton.NewSecret(tc.pw)) })
			j := <-p.jobs
			if j.hash.Params != Default || j.imported != tc.imported || len(j.pw.Reveal()) > Max {
				t.Errorf("work = %v besides %q", j.hash, j.imported)
			}

			p.end(j, answer{key: make([]byte, keySize+1)})
			wg.Wait()
		})
	}
}

// TestImportedWorkIsDoneBesides checks the key that is computed only to take the same time.
func TestImportedWorkIsDoneBesides(t *testing.T) {
	twice(t, func(t *testing.T, cfg Config) {
		p := running(t, cfg)
		h := Hash{Params: cheap, salt: make([]byte, saltSize), key: make([]byte, keySize)}
		for pw, verdict := range map[string]byte{"12345678": matches, "12345679": 0} {
			got, err := p.derive(t.Context(), h, shaOf12345678, jeton.NewSecret(pw))
			want := append(h.derive([]byte(pw)), verdict)
			if err != nil || string(got) != string(want) {
				t.Errorf("derive of %s = %x, %v, want %x", pw, got, err, want)
			}
		}
	})
}

func TestLongPasswordsDoNotMultiplyTheRounds(t *testing.T) {
	for _, tc := range []struct {
		name   string
		rounds uint64
		bytes  int
		want   bool
	}{
		{"what passlib does by default, with the longest", 656_000, maxCrypt, true},
		{"the most rounds with a pass phrase", maxSHACryptRounds, 128, true},
		{"the most rounds with a page of text", maxSHACryptRounds, 256, false},
		{"few rounds with more than crypt(3) takes", 5000, maxCrypt + 1, false},
	} {
		got := shaCryptTries(tc.rounds, tc.bytes)
		if got != tc.want {
			t.Errorf("%s: tried is %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestMemoryThatARequestFills(t *testing.T) {
	for _, tc := range []struct {
		name, imported string
		want           int64
	}{
		{"ours", "", 64 << 10},
		{"one that needs none, besides ours", shaOf12345678, 64 << 10},
		{"argon2 of another", "$argon2d$v=19$m=262144,t=1,p=1$" + b64of(16) + "$" + b64of(32), 256 << 20},
		{"scrypt", "$scrypt$ln=14,r=8,p=1$AAAA$" + b64of(32), 16<<20 + 3<<10},
	} {
		got := (request{hash: Hash{Params: cheap}, imported: tc.imported}).memory()
		if got != tc.want {
			t.Errorf("%s: %d bytes, want %d", tc.name, got, tc.want)
		}
	}
}

// FuzzRecognize checks that what is accepted is within the bounds of memory, is checked
// by the child as well, and is accepted without any of its work: the fuzzer would stand
// still otherwise.
func FuzzRecognize(f *testing.F) {
	for _, k := range importedKnown {
		f.Add(k.hash)
	}

	for _, s := range []string{
		"$5$rounds=1000$$" +
			dots43, "$1$salt$" +
			dots43[:22], "$apr1$$" + dots43[:22], "$2y$04$" + dots53, "$pbkdf2-sha256$1000$AAAA$" + b64of(32),
		"$scrypt$ln=18,r=8,p=1$AAAA$" +
			b64of(32), "$argon2d$v=19$m=8,t=1,p=1$" + b64of(16) + "$" +
			b64of(32), "argon2$argon2id$v=19$m=8,t=1,p=1$" + b64of(16) + "$" + b64of(32),
		"$bcrypt-sha256$v=2,t=2b,r=12$" + dots53[:22] + "$" +
			dots53[:31], "$bcrypt-sha256$2a,5$" + dots53[:22] + "$" +
			dots53[:31], "pbkdf2_sha256$1$s$" + b64of(32) + "=", "{SHA}", "!", "_", "",
	} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, s string) {
		st, err := Recognize(s)
		if err != nil {
			if len(s) > 20 && strings.Contains(err.Error(), s) {
				t.Errorf("the error contains the hash")
			}
			return
		}

		if st.Kind == "" {
			t.Errorf("Recognize(%q) names no kind", s)
		}
		if g, err := parseImported(s); err == nil && g.memory > maxImportedMemory+(1<<20) {
			t.Errorf("Recognize(%q) accepts %d bytes of memory", s, g.memory)
		}
		if len(appendRequest(nil, 1, Hash{salt: make([]byte, maxSalt)}, s, strings.Repeat("x", Max))) > maxFrame+4 {
			t.Errorf("%q does not fit the frame", s)
		}
	})
}
