package mail

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
)

// errNeedsSMTPUTF8 is why a mail server cannot get an address (RFC 6531).
var errNeedsSMTPUTF8 = errors.New("it has letters beyond ASCII before the @, and the mail server offers no SMTPUTF8")

// asciiDomain returns an address, perhaps with a name, with its domain as every mail server knows it: bücher.example
// is xn--bcher-kva.example (RFC 5891). Other text, which is not an address, is returned as it is.
func asciiDomain(text string) string {
	if isASCII(text) {
		return text
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		return text
	}

	at := strings.LastIndexByte(a.Address, '@')
	domain, err := idna.Lookup.ToASCII(a.Address[at+1:])
	if err != nil {
		return text
	}
	a.Address = a.Address[:at+1] + domain
	if a.Name == "" {
		return strings.Trim(a.String(), "<>")
	}

	return a.String()
}

// fits returns an error if a mail server cannot get the addresses of a mail: ErrRefused for that of the recipient.
func fits(m *gomail.Msg, international bool) error {
	if international {
		return nil
	}

	for _, from := range m.GetFrom() {
		if !isASCII(from.Address) {
			return fmt.Errorf("mail.from: %w", errNeedsSMTPUTF8)
		}
	}
	for _, to := range m.GetTo() {
		if !isASCII(to.Address) {
			return fmt.Errorf("%w: %w", ErrRefused, errNeedsSMTPUTF8)
		}
	}

	return nil
}

// isASCII reports whether a text has only ASCII.
func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r > '\x7f' }) < 0
}
