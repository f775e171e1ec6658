package smtptest

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"strings"
)

// firstPart returns the first part of a body, decoded.
func firstPart(contentType string, body []byte) string {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return ""
	}

	// The reader decodes quoted-printable.
	part, err := multipart.NewReader(bytes.NewReader(body), parameters["boundary"]).NextPart()
	if err != nil {
		return ""
	}
	text, err := io.ReadAll(part)
	if err != nil {
		return ""
	}

	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
