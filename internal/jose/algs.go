package jose

// Algs returns the algorithms that keys can have here, the ones to prefer first.
func Algs() []Alg {
	return []Alg{EdDSA, Ed25519, ES256, ES384, ES512, PS256, PS384, PS512, RS256, RS384, RS512}
}

// canonical returns the one name of an algorithm that has two: with the one curve that is
// taken here, EdDSA (RFC 8037) and Ed25519 (RFC 9864) are the same algorithm, and clients
// say either of the same key.
func (a Alg) canonical() Alg {
	if a == Ed25519 {
		return EdDSA
	}
	return a
}
