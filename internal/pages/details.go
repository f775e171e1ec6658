package pages

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/signin"
)

// passwordRules are the details of a password that was not accepted, as package password phrases them, and their
// messages. The number of a rule is the argument of its message.
var passwordRules = []struct {
	pattern *regexp.Regexp
	text    Text
}{
	{regexp.MustCompile(`^the password is too short; use at least (\d+) characters`), text("detail.password-short")},
	{regexp.MustCompile(`^the password is too long; use at most (\d+) bytes`), text("detail.password-long")},
	{regexp.MustCompile(`^the password is in the list of common passwords`), text("detail.password-common")},
	{
		regexp.MustCompile(`^the password is hardly more than .* use at least (\d+) other characters`),
		text("detail.password-known"),
	},
}

// reasonTexts are the reasons of the audit log.
var reasonTexts = map[signin.Reason]Text{
	signin.UnknownUser:         text("reason.unknown-user"),
	signin.WrongPassword:       text("reason.wrong-password"),
	signin.Disabled:            text("reason.disabled"),
	signin.CodeUsed:            text("reason.code-used"),
	signin.OtherService:        text("reason.other-service"),
	signin.OtherRedirect:       text("reason.other-redirect"),
	signin.WrongVerifier:       text("reason.wrong-verifier"),
	signin.SignInEnded:         text("reason.sign-in-ended"),
	signin.NotAllowed:          text("reason.not-allowed"),
	signin.NotConnected:        text("reason.not-connected"),
	signin.OtherUser:           text("reason.other-user"),
	signin.NoNewUser:           text("reason.no-new-user"),
	signin.ReservedName:        text("reason.reserved-name"),
	signin.AlreadyHasOne:       text("reason.has-one"),
	signin.ChallengeUsed:       text("reason.challenge-used"),
	signin.ChallengeUnknown:    text("reason.challenge-unknown"),
	signin.OtherBrowser:        text("reason.other-browser"),
	signin.UnknownKey:          text("reason.unknown-passkey"),
	signin.KeyOfOther:          text("reason.passkey-of-other"),
	signin.UnknownClient:       text("reason.unknown-client"),
	signin.WrongSecret:         text("reason.wrong-secret"),
	signin.Replayed:            text("reason.replayed"),
	signin.Malformed:           text("reason.malformed"),
	signin.WrongType:           text("reason.wrong-type"),
	signin.EmbeddedKey:         text("reason.embedded-key"),
	signin.NoIssuer:            text("reason.no-iss"),
	signin.OtherClient:         text("reason.other-client"),
	signin.WrongAlgorithm:      text("reason.wrong-algorithm"),
	signin.WrongSignature:      text("reason.wrong-signature"),
	signin.NoSubject:           text("reason.no-sub"),
	signin.OtherSubject:        text("reason.other-sub"),
	signin.NoAudience:          text("reason.no-aud"),
	signin.OtherAudience:       text("reason.other-aud"),
	signin.NoExpiry:            text("reason.no-exp"),
	signin.AssertionExpired:    text("reason.expired"),
	signin.NoIssueTime:         text("reason.no-iat"),
	signin.IssuedInFuture:      text("reason.future"),
	signin.LifetimeTooLong:     text("reason.too-long"),
	signin.NotYetValid:         text("reason.early"),
	signin.NoID:                text("reason.no-jti"),
	signin.IDTooLong:           text("reason.long-jti"),
	signin.IssuedBeforeRestore: text("reason.before-restore"),

	signin.OtherWorkloadAudience: text("reason.workload.audience"),
	signin.OtherAlgorithm:        text("reason.workload.algorithm"),
	signin.UnknownIssuerKey:      text("reason.workload.key"),
	signin.NoRule:                text("reason.workload.rule"),
	signin.NoExchange:            text("reason.exchange.rule"),
	signin.OtherSubjectAudience:  text("reason.exchange.audience"),
	signin.NoLogin:               text("reason.exchange.owner"),
	signin.LessProved:            text("reason.exchange.proof"),
}

// clientReasonTexts are those of package client that are no reasons of package signin.
var clientReasonTexts = map[client.Reason]Text{
	client.Disabled:       text("reason.client-disabled"),
	client.UnknownKey:     text("reason.unknown-key"),
	client.KeyRetired:     text("reason.key-retired"),
	client.KeyNotYetValid: text("reason.key-early"),
	client.KeyExpired:     text("reason.key-expired"),
	client.NoKey:          text("reason.no-key"),

	client.DocumentUnread:    text("reason.document.unread"),
	client.DocumentNotJSON:   text("reason.document.not-json"),
	client.DocumentOfOther:   text("reason.document.other"),
	client.DocumentSecret:    text("reason.document.secret"),
	client.DocumentMethod:    text("reason.document.method"),
	client.DocumentGrant:     text("reason.document.grant"),
	client.DocumentAddresses: text("reason.document.addresses"),
	client.TooManyDocuments:  text("reason.document.too-many"),
}

// passkeyReasonTexts are those of package passkey.
var passkeyReasonTexts = map[passkey.Reason]Text{
	passkey.TooLong:        text("reason.passkey.too-long"),
	passkey.Malformed:      text("reason.passkey.malformed"),
	passkey.WrongType:      text("reason.passkey.type"),
	passkey.WrongChallenge: text("reason.passkey.challenge"),
	passkey.WrongOrigin:    text("reason.passkey.origin"),
	passkey.CrossOrigin:    text("reason.passkey.cross-origin"),
	passkey.WrongParty:     text("reason.passkey.party"),
	passkey.NotPresent:     text("reason.passkey.presence"),
	passkey.NotVerified:    text("reason.passkey.verification"),
	passkey.WrongBackup:    text("reason.passkey.backup"),
	passkey.WrongAlgorithm: text("reason.passkey.algorithm"),
	passkey.WeakKey:        text("reason.passkey.weak"),
	passkey.Attested:       text("reason.passkey.attested"),
	passkey.NoHandle:       text("reason.passkey.no-handle"),
	passkey.OtherHandle:    text("reason.passkey.handle"),
	passkey.OtherKey:       text("reason.passkey.other-key"),
	passkey.ChangedBackup:  text("reason.passkey.changed-backup"),
	passkey.WrongSignature: text("reason.passkey.signature"),
	passkey.Cloned:         text("reason.passkey.cloned"),
}

// detailText returns a detail of the server, which is in English, in the language of the page; the zero Text if no
// catalogue has it. The page then shows the detail as it is, and says that it is English.
func detailText(detail string) Text {
	for _, rule := range passwordRules {
		m := rule.pattern.FindStringSubmatch(detail)
		if m == nil {
			continue
		}

		t := rule.text
		for _, number := range m[1:] {
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return Text{}
			}
			t = text(t.Key, n)
		}

		return t
	}

	m := isSum.FindStringSubmatch(detail)
	if m != nil {
		n, err := strconv.ParseInt(m[2], 10, 64)
		if err == nil {
			return text("log.last-of", orCode(m[1]), n)
		}
	}

	words := phraseText(detail)
	if words.Key == "" {
		return wrappedText(detail)
	}

	return words
}

// wrappedText returns the message of an outcome with what the server was doing, as in "confirm the app: not found".
func wrappedText(detail string) Text {
	at := strings.LastIndex(detail, ": ")
	if at < 0 {
		return Text{}
	}

	outcome := errorText(detail[at+2:])
	if outcome.Key == "" {
		return Text{}
	}

	return text("phrase.reason", outcome, Code(detail[:at]))
}

// isSum matches the reason of an event that stands for several, as package audit phrases it.
var isSum = regexp.MustCompile(`^(.+) \(the last of (\d+) refusals .* that have no other event\)$`)

// reasonText returns the message of a reason of the audit log.
func reasonText(detail string) Text {
	t, ok := reasonTexts[signin.Reason(detail)]
	if ok {
		return t
	}

	t, ok = passkeyReasonTexts[passkey.Reason(detail)]
	if ok {
		return t
	}

	return clientReasonTexts[client.Reason(detail)]
}
