package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
)

// queryNumber reads a number of the query; absent is its default.
func queryNumber(r *http.Request, name string, absent int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}

	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, jeton.WithDetail(jeton.ErrInvalid, "invalid "+name+": want a whole number, 0 or greater")
	}

	return n, nil
}

// pageLimit reads how many entries a page has; "" is the default.
func pageLimit(text string, absent int) (int, error) {
	if text == "" {
		return absent, nil
	}

	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPageSize {
		return 0, jeton.WithDetail(jeton.ErrInvalid, "invalid limit: want a number from 1 to 1000")
	}

	return n, nil
}

// queryFlag reads a flag of the query; absent is false.
func queryFlag(r *http.Request, name string) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}

	flag, err := strconv.ParseBool(text)
	if err != nil {
		return false, jeton.WithDetail(jeton.ErrInvalid, "invalid "+name+": want true or false")
	}

	return flag, nil
}

// queryTime reads a time of the query; absent is the zero time.
func queryTime(r *http.Request, name string) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return time.Time{}, nil
	}

	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, jeton.WithDetail(
			jeton.ErrInvalid,
			"invalid "+name+": want a time such as 2026-03-01T12:00:00Z",
		)
	}

	return at, nil
}
