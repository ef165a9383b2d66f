package loginui

import (
	"regexp"
	"strings"
	"testing"
)

func styleFile(t *testing.T, name string) string {
	t.Helper()
	b, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(b), "")
}

// TestStyleUsesTokens: colours, sizes and times stand in tokens.css alone, but for lines of a pixel, what is relative to its text, and the
// widths at which the pages change, which cannot be named.
func TestStyleUsesTokens(t *testing.T) {
	rules := styleFile(t, styleName)
	bare := regexp.MustCompile(`@(?:media|container)[^{]*`).ReplaceAllString(rules, "")
	for what, pattern := range map[string]string{
		"a colour":                 `#[0-9a-fA-F]{3,8}\b|\b(?:rgba?|hsla?|oklch|oklab|lab|lch|color|color-mix)\(|[:\s](?:white|black|red|gr[ae]y|blue|green|silver)\b[;\s}]`,
		"a size":                   `\b(?:[2-9]|[0-9]{2,}|[0-9]*\.[0-9]+)px\b|[0-9]rem\b|[0-9](?:pt|cm|mm|in)\b`,
		"a time":                   `[0-9]m?s\b`,
		"a side of the page":       `\b(?:margin|padding|border)-(?:left|right)\b|[;{\s](?:left|right):|text-align: (?:left|right)|float:`,
		"something from elsewhere": `url\(|@import|@font-face`,
	} {
		for _, m := range regexp.MustCompile(`.*(?:`+pattern+`).*`).FindAllString(bare, -1) {
			t.Errorf("%s: %s", what, strings.TrimSpace(m))
		}
	}
	// Each token that is used is there, and each that is there is used.
	tokens := styleFile(t, tokensName)
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`(--[a-z0-9-]+):`).FindAllStringSubmatch(tokens, -1) {
		named[m[1]] = false
	}
	for _, m := range regexp.MustCompile(`var\((--[a-z0-9-]+)`).FindAllStringSubmatch(rules+tokens, -1) {
		if _, ok := named[m[1]]; !ok {
			t.Errorf("there is no token %s", m[1])
		}
		named[m[1]] = true
	}
	for name, used := range named {
		if !used {
			t.Errorf("nothing uses %s", name)
		}
	}
}

// The served file has the tokens in front, and no comment.
func TestStylesAreOneFile(t *testing.T) {
	served := string(asset(styleName).body)
	if !strings.HasPrefix(served, ":root{") || strings.Contains(served, "/*") || !strings.Contains(served, "@media print") {
		t.Errorf("begins with %.40q", served)
	}
	if _, ok := assets()[tokensName]; ok {
		t.Error("the tokens are served by themselves, too")
	}
}
