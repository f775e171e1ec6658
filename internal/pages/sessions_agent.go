package pages

import "strings"

// maxAgent bounds the name of a program that is shown, in bytes.
const maxAgent = 40

// The words by which User-Agent names browsers and systems. The first that matches counts: browsers also name those
// that they are derived from.
var (
	agentBrowsers = [][2]string{
		{"Edg/", "Edge"},
		{"EdgA/", "Edge"},
		{"EdgiOS/", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"FxiOS/", "Firefox"},
		{"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chromium/", "Chromium"},
		{"Chrome/", "Chrome"},
		{"Version/", "Safari"},
	}
	agentSystems = [][2]string{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"Windows", "Windows"},
		{"Mac OS X", "macOS"},
		{"CrOS", "ChromeOS"},
		{"Linux", "Linux"},
	}
)

// deviceOf returns what a User-Agent says about the program and the system. It proves nothing: it helps users to
// recognise their own devices.
func deviceOf(agent string) Text {
	browser, system := firstIn(agent, agentBrowsers), firstIn(agent, agentSystems)
	switch {
	case agent == "":
		return text("device.unknown")
	case !strings.HasPrefix(agent, "Mozilla/"):
		return text("device.program", programOf(agent))
	case browser == "" && system == "":
		return text("device.unknown")
	case browser == "":
		return text("device.on", text("device.browser"), system)
	case system == "":
		return text("device.program", browser)
	}

	return text("device.on", browser, system)
}

// firstIn returns the name of the first word that an agent contains, or "".
func firstIn(agent string, words [][2]string) string {
	for _, w := range words {
		if strings.Contains(agent, w[0]) {
			return w[1]
		}
	}

	return ""
}

// programOf returns the first product of a User-Agent (RFC 9110, section 10.1.5) without its version.
func programOf(agent string) string {
	name, _, _ := strings.Cut(agent, " ")
	name, _, _ = strings.Cut(name, "/")
	if len(name) > maxAgent {
		name = name[:maxAgent]
	}

	return strings.ToValidUTF8(name, "")
}
