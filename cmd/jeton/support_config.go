//go:build !walletonly

package main

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/jeton-auth/jeton/internal/config"
)

// shownKeys are the keys of the configuration whose text is in a report, beside those with a list of values. All other
// texts are left out: a list of what is secret would miss the key that is added tomorrow.
var shownKeys = map[string]bool{
	"host":   true,
	"hosts":  true,
	"listen": true,
	"match":  true,
	"name":   true,
}

// urlKeys are the keys of addresses. Of these, scheme and host are in a report.
var urlKeys = map[string]bool{"url": true, "urls": true, "issuer": true}

// redacted returns a configuration without secrets, to encode it as JSON.
func redacted(conf *config.Config) any { return redact(reflect.ValueOf(conf), "") }

// redact returns a value of a key without secrets.
func redact(v reflect.Value, key string) any {
	if text, ok := v.Interface().(fmt.Stringer); ok && v.Kind() != reflect.Pointer && v.Kind() != reflect.Struct {
		return text.String() // a duration
	}

	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return redact(v.Elem(), key)
	case reflect.Struct:
		return redactFields(v)
	case reflect.Slice, reflect.Array:
		list := []any{}
		for i := range v.Len() {
			list = append(list, redact(v.Index(i), key))
		}
		return list
	case reflect.Map:
		return fmt.Sprintf("[%d set]", v.Len())
	case reflect.String:
		return redactText(v.String(), key)
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint16:
		return v.Interface()
	default:
		return "[set]"
	}
}

// redactFields returns the fields that have a key in the file and a value.
func redactFields(v reflect.Value) any {
	fields := map[string]any{}
	keys := 0
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if !f.IsExported() || key == "" || key == "-" {
			continue
		}
		keys++

		switch {
		case v.Field(i).IsZero():
		case f.Type.Kind() == reflect.String && f.Tag.Get("enum") != "":
			fields[key] = v.Field(i).String()
		default:
			fields[key] = redact(v.Field(i), key)
		}
	}
	if keys == 0 {
		return "[set]" // a secret, or a value with a form of its own
	}

	return fields
}

// redactText returns the text of a key, or that there is one.
func redactText(text, key string) string {
	switch {
	case text == "" || shownKeys[key]:
		return text
	case urlKeys[key]:
		u, err := url.Parse(text)
		if err == nil && strings.HasPrefix(u.Scheme, "http") {
			return u.Scheme + "://" + u.Host
		}
	}

	return "[set]"
}
