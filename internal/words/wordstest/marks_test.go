package wordstest

import (
	"testing"

	"golang.org/x/text/language"
)

func TestMisprint(t *testing.T) {
	for _, tt := range []struct {
		tag, text string
		fits      bool
	}{
		{"de", "Die Seite „Sicherheit“ zeigt es: hier.", true},
		{"de", "Die Seite “Sicherheit” zeigt es.", false},
		{"de", "Warum ?", false},
		{"es", "¿Ha olvidado la contraseña?", true},
		{"es", "Ha olvidado la contraseña?", false},
		{"fr", "Mot de passe oublié\u202f?", true},
		{"fr", "Mot de passe oublié ?", false},
		{"fr", "Attendez\u00a0: «\u00a0{{.Label}}\u00a0» à https://dash.example.com", true},
		{"fr", "« {{.Label}} »", false},
		{"fr", "l'adresse", false},
		{"ja", "続行しますか？ https:// と X-Forwarded-Proto: https。", true},
		{"ja", "続行しますか?", false},
		{"ja", "名前: {{.Name}}", false},
		{"ar", "هل نسيت كلمة المرور؟", true},
		{"ar", "هل نسيت كلمة المرور?", false},
		{"ar", "الاسم, العنوان", false},
		{"tlh", "nuqneH?", true},
	} {
		if got := misprint(language.MustParse(tt.tag), tt.text); (got == "") != tt.fits {
			t.Errorf("%s, %q: %q", tt.tag, tt.text, got)
		}
	}
}
