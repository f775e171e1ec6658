package pages

import (
	"html"
	"strings"
	"testing"
)

// TestChecksAreSaidInGerman has checks as the audit log has them. TestWhyARequestWasRefusedIsSaidInGerman of package
// server has them from a server.
func TestChecksAreSaidInGerman(t *testing.T) {
	german := newPages(t).languages[1]
	if german.code != "de" {
		t.Fatalf("the second language is %s, want de", german.code)
	}

	for _, tc := range []struct{ check, want string }{
		{"GET /orders/{id}: session or token", "GET /orders/{id}: Sitzung oder Token"},
		{
			`GET /v: session, scopes [a b], groups [staff], uses 3 of "GET /v" by credential, audited`,
			"GET /v: Sitzung, ein Token braucht a b, Mitglieder von: staff, höchstens 3 Nutzungen von " +
				`"GET /v" je Nachweis, wird protokolliert`,
		},
		{
			"opaque token t1 of user diane for [shop], issued 2026-03-01T12:00:00.000Z",
			"Token (opaque) t1 von diane für shop, ausgestellt 1. März 2026, 12:00 UTC",
		},
		{
			"now 2026-03-01T12:00:00.000Z, expires 2026-03-02T12:00:00.000Z",
			"jetzt 1. März 2026, 12:00 UTC, läuft ab 2. März 2026, 12:00 UTC",
		},
		{
			"user diane in groups [] with scopes [a]; allowed are users [bob] groups [x]; " +
				"needed are scopes [b]: not allowed",
			"Benutzer diane in Gruppen: keine, mit Scopes: a; erlaubt: Benutzer: bob oder Mitglieder von: x; " +
				"nötige Scopes: b: nicht erlaubt",
		},
		{
			"not allowed: the token is valid for [GET /a POST /b]",
			"nicht erlaubt: das Token gilt für GET /a POST /b",
		},
		{
			"no credential that this route accepts: the request shows a Bearer token and the cookie c, " +
				"the route accepts session",
			"kein Nachweis, den diese Route annimmt: die Anfrage zeigt ein Bearer-Token und das Cookie c, " +
				"die Route nimmt an: Sitzung",
		},
		{"lifetime 12h0m0s, idle 1h0m0s", "Lebensdauer 12 Stunden, ungenutzt höchstens 1 Stunde"},
		{"HEAD takes none, 1 left", "HEAD verbraucht nichts, 1 übrig"},
		{"the client has no key with this kid", "Der Client hat keinen Schlüssel mit dieser kid."},
		{
			"credential is not valid: signature is wrong (key k1)",
			"Nachweis ungültig: seine Signatur ist falsch (Schlüssel k1)",
		},
		{"something: of a newer server", ""},
	} {
		words, err := german.translate(phraseText(tc.check))
		if err != nil {
			t.Errorf("%s: %v", tc.check, err)
			continue
		}

		got := html.UnescapeString(anyTag.ReplaceAllString(string(words), ""))
		if strings.ReplaceAll(got, "\u00a0", " ") != tc.want {
			t.Errorf("%s\n got %q\nwant %q", tc.check, got, tc.want)
		}
	}
}

// TestAPhraseNeverTakesLong has a text with as many places to divide it at as there can be.
func TestAPhraseNeverTakesLong(t *testing.T) {
	value := strings.Repeat("none, ", maxPhrases/6-1) + "?"
	if got := phraseText(value); got.Key != "" {
		t.Errorf("phraseText(none, none, …, ?) = %s, want none", got.Key)
	}
}
