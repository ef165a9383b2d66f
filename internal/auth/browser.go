package auth

import "strings"

// What a User-Agent holds, and what people call it. The first that is found counts: browsers name those that they descend from, too.
var (
	browserNames = [][2]string{
		{"Edg/", "Edge"},
		{"EdgA/", "Edge"},
		{"EdgiOS/", "Edge"},
		{"OPR/", "Opera"},
		{"Vivaldi/", "Vivaldi"},
		{"YaBrowser/", "Yandex Browser"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"DuckDuckGo/", "DuckDuckGo"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"HeadlessChrome/", "Headless Chrome"},
		{"CriOS/", "Chrome"},
		{"Chromium/", "Chromium"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
	}
	systemNames = [][2]string{
		{"Windows", "Windows"},
		{"iPhone", "iOS"},
		{"iPad", "iPadOS"},
		{"Android", "Android"},
		{"CrOS", "ChromeOS"},
		{"Macintosh", "macOS"},
		{"Linux", "Linux"},
		{"FreeBSD", "FreeBSD"},
		{"OpenBSD", "OpenBSD"},
	}
)

// Describe says which browser and system a User-Agent names, for people to recognise; "" for one that is not known. It answers with
// words of ours alone: what a client calls itself would stand in mails and on pages. User-Agents change no more (they are frozen, in
// favour of client hints), so a list is enough.
func Describe(userAgent string) (browser, system string) {
	userAgent = userAgent[:min(len(userAgent), 512)]
	return nameIn(userAgent, browserNames), nameIn(userAgent, systemNames)
}

func nameIn(s string, names [][2]string) string {
	for _, n := range names {
		if strings.Contains(s, n[0]) {
			return n[1]
		}
	}
	return ""
}
