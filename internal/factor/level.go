package factor

import "slices"

// The levels of an authentication, as values of the claim acr (OpenID Connect Core 1.0, section 2). One factor alone is
// no level: its acr is left out. Each level includes those before it.
const (
	// TwoFactors is the REFEDS profile of two factors.
	TwoFactors = "https://refeds.org/profile/mfa"
	// PhishingResistant is two factors of which one is a passkey (OpenID Connect Extended Authentication Profile ACR
	// Values 1.0, section 2).
	PhishingResistant = "phr"
)

// Levels returns all levels, the lowest first.
func Levels() []string { return []string{TwoFactors, PhishingResistant} }

// Reaches reports whether methods (amr, RFC 8176) reach a level. No methods reach an unknown one. A link for signing in
// is no factor, even if a second one followed.
func Reaches(methods []string, level string) bool {
	if !slices.Contains(methods, "mfa") || slices.Contains(methods, "link") {
		return false
	}

	switch level {
	case TwoFactors:
		return true
	case PhishingResistant:
		return slices.Contains(methods, "hwk") || slices.Contains(methods, "swk")
	}

	return false
}

// Level returns the acr of methods (amr): the first of the wanted levels that they reach, else the highest that they
// reach, else "".
func Level(methods, wanted []string) string {
	for _, level := range wanted {
		if Reaches(methods, level) {
			return level
		}
	}

	for _, level := range slices.Backward(Levels()) {
		if Reaches(methods, level) {
			return level
		}
	}

	return ""
}
