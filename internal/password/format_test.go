package password

import (
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, tc := range []struct{ name, hash, want string }{
		{"of an unknown user", "", DefaultFormat},
		{"a new hash", hashWith(Default), DefaultFormat},
		{"one of ours that costs less", hashWith(cheap), "argon2id {MemoryKiB:64 Passes:1 Lanes:1}"},
		{"bcrypt", "$2b$10$" + dots53, "$2b$10"},
		{"Django's bcrypt", "bcrypt$$2b$12$" + dots53, "bcrypt$$2b$12"},
		{"passlib's bcrypt", "$bcrypt-sha256$v=2,t=2b,r=12$saltsalt$digest", "$bcrypt-sha256$v=2,t=2b,r=12"},
		{"sha2-crypt", "$6$rounds=9000$saltsalt$" + dots86, "$6$rounds=9000"},
		{"sha2-crypt without rounds", "$6$saltsalt$" + dots86, "$6$"},
		{"md5-crypt", "$apr1$saltsalt$digest", "$apr1$"},
		{"passlib's PBKDF2", "$pbkdf2-sha256$29000$c2FsdA$ZGlnZXN0", "$pbkdf2-sha256$29000"},
		{"werkzeug's PBKDF2", "pbkdf2:sha256:600000$salt$00ff", "pbkdf2:sha256:600000"},
		{"Django's PBKDF2", "pbkdf2_sha256$600000$salt$ZGlnZXN0", "pbkdf2_sha256$600000"},
		{"passlib's scrypt", "$scrypt$ln=16,r=8,p=1$c2FsdA$ZGlnZXN0", "$scrypt$ln=16,r=8,p=1"},
		{"werkzeug's scrypt", "scrypt:32768:8:1$salt$00ff", "scrypt:32768:8:1"},
		{"Django's scrypt", "scrypt$16384$salt$8$5$ZGlnZXN0", "scrypt$16384$8$5"},
		{"SHA-1", "{SHA}" + strings.Repeat("A", 27) + "=", "{SHA}"},
		{"nothing that is known", "x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Format(tc.hash)
			if got != tc.want {
				t.Errorf("Format = %q, want %q", got, tc.want)
			}
		})
	}
}

func hashWith(p Params) string {
	return Hash{Params: p, salt: make([]byte, saltSize), key: make([]byte, keySize)}.PHC()
}
