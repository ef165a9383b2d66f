package method

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Parts of the reasons.
const (
	isShort    = "at least 8"
	isLong     = "too long"
	isCommon   = "most common"
	isRepeated = "repeated"
	isSequence = "sequence"
	isName     = "your name"
	isControl  = "control characters"
	isNoText   = "as text"
	isFine     = ""
)

func TestPasswordPolicy(t *testing.T) { // S1, S2, S4, S5
	ascii := strings.Repeat("0123456789abcdeF", 64)
	for _, row := range []struct{ name, password, reason string }{
		{"empty", "", isShort},
		{"7 characters", "k7#Wq9z", isShort},
		{"8 characters", "k7#Wq9zP", isFine},
		{"7 characters of 4 bytes", "🐙🦦🌱🚲🎻🧭🪁", isShort},
		{"8 characters of 4 bytes", "🐙🦦🌱🚲🎻🧭🪁🫖", isFine},
		{"7 composed characters", "gru\u0308ne\u0301s7", isShort},
		{"8 composed characters", "gru\u0308ne\u0301s7x", isFine},
		{"64 characters", ascii[:60] + "tail", isFine},
		{"64 characters of 4 bytes", strings.Repeat("🐙🦦🌱🚲🎻🧭🪁🫖", 8)[:63*4] + "🍄", isFine},
		{"1024 bytes", ascii[:1023] + "!", isFine},
		{"1025 bytes", ascii[:1024] + "!", isLong},

		{"letters alone", "otterbicycle", isFine},
		{"digits alone", "83019274", isFine},
		{"spaces", "seven green otters", isFine},
		{"space before and after", " k7Wq9z ", isFine},
		{"Chinese", "竹林深處人不知明月", isFine},

		{"letters that folding joins", "ㄱㅏㄴㅓㄷㅗㄹㅜ", isFine},

		{"NUL", "k7#Wq9zP\x00", isControl},
		{"tab", "k7#W\tq9zP", isControl},
		{"line break", "k7#Wq9zP\r\n", isControl},
		{"C1 control", "k7#W\u0085q9zP", isControl},
		{"Latin-1", "gr\xfcne\xe9s7x", isNoText},
		{"surrogate", "k7#Wq9zP\xed\xa0\x80", isNoText},

		{"common", "password", isCommon},
		{"common, other case", "PassWord", isCommon},
		{"common, wide letters", "ｐａｓｓｗｏｒｄ", isCommon},
		{"common with digits", "qwerty123", isCommon},
		{"common with a sign", "password!!", isCommon},
		{"common in quotes", `"trustno1"`, isCommon},
		{"common twice", "sunshinesunshine", isCommon},
		{"first of the list", "!qaz2wsx", isCommon},
		{"holds a common one", "my password is otter", isFine},

		{"one character", "zzzzzzzzzzzz", isRepeated},
		{"spaces alone", "            ", isRepeated},
		{"three characters", "xq9xq9xq9", isRepeated},
		{"cut short", "xq9xq9xq", isRepeated},
		{"seven characters twice", "k7#Wq9zk7#Wq9z", isRepeated},
		{"eight characters twice", "k7#Wq9zPk7#Wq9zP", isFine},

		{"digits upwards", "345678901234", isSequence},
		{"digits downwards", "21098765432", isSequence},
		{"letters upwards", "ijklmnopqrs", isSequence},
		{"letters downwards", "SRQPONMLKJ", isSequence},
		{"sequence with a sign", "ijklmnopqrs!", isSequence},

		{"name twice", "alicealice", isRepeated},
		{"name, longer", "alicealicealicealice", isRepeated},
		{"name and digits", "alice1234", isName},
		{"name and year", "Alice2026", isName},
		{"name, year and sign", "Alice2026!", isName},
		{"name and a long sequence", "alice123456789", isName},
		{"name and a repeat", "alice77777777", isName},
		{"name and a common one", "alicepassword", isName},
		{"name in the middle", "12alice34", isName},
		{"display name", "Alice Example", isName},
		{"display name, joined", "aliceexample", isName},
		{"display name, reversed order", "example.alice", isName},
		{"address", "alice.e+work@example.com", isFine}, // more than 8 other characters
		{"before the at sign", "a.lovelace", isName},
		{"before the at sign, and digits", "a.lovelace99", isName},
		{"product", "examplecorp", isName},
		{"product, other case and signs", "Example-Corp!", isName},
		{"product and digits", "corp2026", isName},
		{"name and five others", "alicek7#Wq", isFine},
		{"name and four others", "alicek7#W", isName},
		{"name and signs", "alice!@#$%^&*", isFine},
		{"name in a sentence", "alice rides a bicycle", isFine},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := NewPassword("Example Corp").Check(row.password, "alice", "Alice Example", "a.lovelace@example.com")
			if row.reason == isFine {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var invalid *auth.Invalid
			if !errors.As(err, &invalid) || invalid.Field != "password" || !strings.Contains(invalid.Text, row.reason) {
				t.Errorf("got %v, want %q", err, row.reason)
			}
		})
	}
}

func TestPasswordPolicyWithoutNames(t *testing.T) { // empty and short names match nothing
	for _, about := range [][]string{nil, {""}, {"", "@", " "}, {"k7"}, {"竹", "q9@example.com"}} {
		if err := NewPassword("").Check("k7#Wq9zP", about...); err != nil {
			t.Errorf("%q: %v", about, err)
		}
	}
}

func TestCommonPasswords(t *testing.T) { // S5: more than the 3000 that ASVS 6.2.4 asks for
	list := strings.Split(strings.TrimSuffix(commonPasswords(), "\n"), "\n")
	if len(list) < 3000 || len(commonPasswords()) > 400<<10 {
		t.Errorf("%d passwords, %d bytes", len(list), len(commonPasswords()))
	}
	if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Error("not sorted, or with doubles")
	}
	for _, s := range list {
		if len([]rune(s)) < MinPassword || s != strings.ToLower(s) {
			t.Fatalf("%q is on the list", s)
		}
		if !common(s) {
			t.Fatalf("%q is not found", s)
		}
		if p := s[:len(s)-1]; common(p) != contains(list, p) {
			t.Fatalf("%q is found", p)
		}
	}
	for _, s := range []string{"", "\n", " ", "password\npassword1", "zzzzzzzzzzzzzzzz~", "\xff", "k7#wq9zp", list[0][:1], list[len(list)-1] + "~"} {
		if common(s) {
			t.Errorf("%q is found", s)
		}
	}
	if n := testing.AllocsPerRun(100, func() { common("seven green otters") }); n != 0 {
		t.Errorf("%v allocations a look-up", n)
	}
}

func contains(sorted []string, s string) bool {
	_, ok := slices.BinarySearch(sorted, s)
	return ok
}

func FuzzPasswordPolicy(f *testing.F) {
	f.Add("seven green otters", "alice@example.com")
	f.Add("alice2026!", "Alice Example")
	f.Add("\xff\x00", "@")
	f.Add("ǆǅǄŉﬃİẞ", "ﬃ")
	p := NewPassword("Example Corp")
	f.Fuzz(func(t *testing.T, password, name string) {
		err := p.Check(password, name)
		var invalid *auth.Invalid
		if err != nil && (!errors.As(err, &invalid) || invalid.Text == "" || invalid.Field != "password") {
			t.Errorf("%q: %v", password, err)
		}
		if err == nil && (len(password) < MinPassword || len(password) > MaxPasswordBytes || common(strings.ToLower(password))) {
			t.Errorf("%q is fine", password)
		}
	})
}

// The most work that a password and its names can make.
func BenchmarkPasswordPolicy(b *testing.B) {
	p := NewPassword("Example Corp")
	password := strings.Repeat("\ufdfa", 340) + "x" // each becomes 18 code points
	for b.Loop() {
		_ = p.Check(password, "alice", "Alice Example", "alice@example.com")
	}
}
