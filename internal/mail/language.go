package mail

import "context"

// languageKey is the key of the language of a context.
type languageKey struct{}

// WithLanguage returns a context for a request of a page. What the request asks to be sent is in the language of the
// page, also where the API adds the mail.
func WithLanguage(ctx context.Context, language string) context.Context {
	return context.WithValue(ctx, languageKey{}, language)
}

// LanguageOf returns the language of a context, or "" for the one of the configuration.
func LanguageOf(ctx context.Context) string {
	language, _ := ctx.Value(languageKey{}).(string)
	return language
}
