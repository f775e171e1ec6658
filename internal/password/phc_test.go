package password

import (
	"strings"
	"testing"
)

// Made with the reference implementation's command line, version 20171227:
// printf PASSWORD | argon2 SALT -id -k MEMORY -t PASSES -p LANES -l LENGTH -e
var known = []struct{ name, password, phc string }{
	{
		"the default cost",
		"correct horse battery staple",
		"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$ISO7kkvFzh19GM8qB7patN3C3Y9HHsjlVTfEZ9T600Y",
	},
	{
		"four lanes, a blank at the end, letters outside ASCII",
		"pässwörd ",
		"$argon2id$v=19$m=256,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$WnO7LqAjajaXzeh4PusQhOjEkkv7QDIj",
	},
	{"the shortest salt and hash", "password", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$pMlwOs/gn+zdvoB/AGiRNA"},
}

const (
	salt16 = "c29tZXNhbHRzb21lc2FsdA"
	key32  = "ISO7kkvFzh19GM8qB7patN3C3Y9HHsjlVTfEZ9T600Y"
)

func TestParse(t *testing.T) {
	tail := "$" + salt16 + "$" + key32
	good := "$argon2id$v=19$m=19456,t=2,p=1" + tail
	for _, tc := range []struct {
		name, phc string
		want      string // in the error; "" for none
	}{
		{"as it should be", good, ""},
		{
			"the most of everything",
			"$argon2id$v=19$m=131072,t=16,p=8$" + strings.Repeat(
				"AAAA",
				21,
			) + "AA$" + strings.Repeat("AAAA", 21) + "AA",
			"",
		},
		{"the least of everything", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", ""},
		{"empty", "", "is empty"},
		{"a password in its place", "hunter2hunter2", "not a password hash"},
		{"longer than any", good + strings.Repeat("A", maxPHC), "bytes long"},
		{"a blank before it", " " + good, "white space"},
		{"a line end after it", good + "\n", "line break"},
		{"a line end inside", "$argon2id$v=19$m=8,t=1,p=1$AAAAAA\nAAAAA$AAAAAAAAAAAAAAAAAAAAAA", "line break"},
		{"argon2i", strings.Replace(good, "argon2id", "argon2i", 1), "must be argon2id"},
		{"argon2d", strings.Replace(good, "argon2id", "argon2d", 1), "must be argon2id"},
		{"bcrypt", "$2b$12$abcdefghijklmnopqrstuv", "another kind"},
		{"another version", strings.Replace(good, "v=19", "v=16", 1), "must be v=19"},
		{"no version", strings.Replace(good, "v=19$", "", 1), "names no version"},
		{"capitals", strings.Replace(good, "argon2id", "Argon2id", 1), "another kind"},
		{"no hash", "$argon2id$v=19$m=19456,t=2,p=1$" + salt16, "2 parts"},
		{"a part too many", good + "$", "4 parts"},
		{"another order", "$argon2id$v=19$t=2,m=19456,p=1" + tail, "in this order"},
		{"a key id", "$argon2id$v=19$m=19456,t=2,p=1,keyid=AAAA" + tail, "nothing else"},
		{"lanes left out", "$argon2id$v=19$m=19456,t=2" + tail, "nothing else"},
		{"a leading zero", "$argon2id$v=19$m=019456,t=2,p=1" + tail, "leading zero"},
		{"a sign", "$argon2id$v=19$m=+19456,t=2,p=1" + tail, "without sign"},
		{"a negative number", "$argon2id$v=19$m=19456,t=-2,p=1" + tail, "without sign"},
		{"no number", "$argon2id$v=19$m=19456,t=,p=1" + tail, "whole number"},
		{"a number past 32 bits", "$argon2id$v=19$m=4294967304,t=2,p=1" + tail, "below 2^32"},
		{"too little memory", "$argon2id$v=19$m=7,t=2,p=1" + tail, "memory is m=7 KiB"},
		{"too much memory", "$argon2id$v=19$m=131073,t=2,p=1" + tail, "memory is m=131073 KiB"},
		{"too little memory for its lanes", "$argon2id$v=19$m=31,t=2,p=4" + tail, "at least m=32"},
		{"no passes", "$argon2id$v=19$m=19456,t=0,p=1" + tail, "passes are t=0"},
		{"too many passes", "$argon2id$v=19$m=19456,t=17,p=1" + tail, "passes are t=17"},
		{"no lanes", "$argon2id$v=19$m=19456,t=2,p=0" + tail, "lanes are p=0"},
		{"too many lanes", "$argon2id$v=19$m=19456,t=2,p=9" + tail, "lanes are p=9"},
		{"lanes that are 1 in eight bits", "$argon2id$v=19$m=19456,t=2,p=257" + tail, "lanes are p=257"},
		{"a salt of 7 bytes", "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAA$" + key32, "salt is 7 bytes"},
		{
			"a salt of 65 bytes",
			"$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("AAAA", 21) + "AAA$" + key32,
			"salt is 65 bytes",
		},
		{
			"a hash of 15 bytes",
			"$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + strings.Repeat("AAAA", 5),
			"hash is 15 bytes",
		},
		{
			"a hash of 65 bytes",
			"$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + strings.Repeat("AAAA", 21) + "AAA",
			"hash is 65 bytes",
		},
		{"padding", "$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "==$" + key32, "padding"},
		{
			"base64 for URLs",
			"$argon2id$v=19$m=19456,t=2,p=1$" + salt16 + "$" + strings.Replace(key32, "I", "-", 1),
			"not base64",
		},
		{"unused bits", "$argon2id$v=19$m=19456,t=2,p=1$" + salt16[:21] + "B$" + key32, "not base64"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, err := Parse(tc.phc)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("Parse: %v, want no error", err)
			case tc.want == "" && h.PHC() != tc.phc:
				t.Errorf("PHC() = %s, want the parsed text %s", h.PHC(), tc.phc)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("Parse: %v, want an error with %q", err, tc.want)
			case err != nil && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error contains the hash: %v", err)
			}
		})
	}
}

func TestHashesPrintNoDigest(t *testing.T) {
	h, err := Parse(known[0].phc)
	if err != nil {
		t.Fatal(err)
	}

	got, want := h.String(), "argon2id m=19456,t=2,p=1"
	if got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestWeaker(t *testing.T) {
	for _, tc := range []struct {
		name string
		cost string
		tail string
		want bool
	}{
		{"the default", "m=19456,t=2,p=1", salt16 + "$" + key32, false},
		{"the default over more lanes", "m=19456,t=2,p=4", salt16 + "$" + key32, false},
		{"one pass over more memory", "m=47104,t=1,p=1", salt16 + "$" + key32, false},
		{"more of both", "m=65536,t=3,p=4", salt16 + "$" + key32, false},
		{"one pass less", "m=19456,t=1,p=1", salt16 + "$" + key32, true},
		{"less memory", "m=19455,t=2,p=1", salt16 + "$" + key32, true},
		{"less memory and more passes", "m=12288,t=16,p=1", salt16 + "$" + key32, true},
		{"a shorter salt", "m=19456,t=2,p=1", "c29tZXNhbHQ$" + key32, true},
		{"a shorter hash", "m=19456,t=2,p=1", salt16 + "$pMlwOs/gn+zdvoB/AGiRNA", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, err := Parse(phcHead + tc.cost + "$" + tc.tail)
			if err != nil {
				t.Fatal(err)
			}

			got := h.weakerThan(Default)
			if got != tc.want {
				t.Errorf("weaker than the default = %v, want %v", got, tc.want)
			}
		})
	}
}

// FuzzParse checks that every accepted hash has one spelling and is within the bounds.
func FuzzParse(f *testing.F) {
	for _, k := range known {
		f.Add(k.phc)
	}

	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAA\nAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=019456,t=+2,p=257$" + salt16 + "==$" + key32)
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := Parse(phc)
		if err != nil {
			return
		}

		got := h.PHC()
		if got != phc {
			t.Errorf("Parse(%q).PHC() = %q", phc, got)
		}
		if err := (request{hash: h}).check(); err != nil {
			t.Errorf("Parse(%q) is out of bounds: %v", phc, err)
		}
	})
}
