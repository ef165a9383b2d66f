package method

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestArgon2idParameters(t *testing.T) { // S7: the floor of 19456 KiB and 2 passes
	p := NewPassword("")
	c, err := p.New("seven green otters")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(c.Secret, []byte("$argon2id$v=19$m=19456,t=2,p=1$")) {
		t.Errorf("stored %s", c.Secret)
	}
	r, err := parseRecord(c.Secret)
	if err != nil || len(r.salt) != 16 || len(r.tags) != 1 || len(r.tags[0]) != 32 {
		t.Errorf("record %+v, %v", r, err)
	}
	other, err := p.New("seven green otters")
	if err != nil || bytes.Equal(other.Secret, c.Secret) {
		t.Errorf("the same salt twice, %v", err)
	}
}

// The vector of the reference implementation: password "password", salt "somesalt", 64 KiB, one pass, 24 bytes.
const (
	knownTag    = "655ad15eac652dc59f7170a7332bf49b8469be1fdb9c28bb"
	knownSecret = "password"
)

func knownRecord(tb testing.TB) []byte {
	tb.Helper()
	tag, err := hex.DecodeString(knownTag)
	if err != nil {
		tb.Fatal(err)
	}
	return record{cost: cost{64, 1, 1}, salt: []byte("somesalt"), tags: [][]byte{tag}}.encode()
}

func TestArgon2idKnownAnswer(t *testing.T) {
	b := knownRecord(t)
	if want := "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7"; string(b) != want {
		t.Errorf("encoded %s, want %s", b, want)
	}
	r, err := parseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	a := newArgon()
	if n := a.match(r, []byte(knownSecret)); n != 0 {
		t.Errorf("the right secret matches %d", n)
	}
	if n := a.match(r, []byte("Password")); n != -1 {
		t.Errorf("a wrong secret matches %d", n)
	}
	if !a.outdated(r) {
		t.Error("a weaker record is not outdated")
	}
}

func TestOutdatedRecord(t *testing.T) { // S7
	now := cost{19456, 2, 1}
	for _, row := range []struct {
		name      string
		cost      cost
		salt, tag int
		want      bool
	}{
		{"as made now", now, 16, 32, false},
		{"less memory", cost{19455, 2, 1}, 16, 32, true},
		{"more memory", cost{65536, 2, 1}, 16, 32, true},
		{"fewer passes", cost{19456, 1, 1}, 16, 32, true},
		{"more lanes", cost{19456, 2, 4}, 16, 32, true},
		{"shorter salt", now, 8, 32, true},
		{"shorter tag", now, 16, 24, true},
	} {
		a := newArgon()
		if got := a.outdated(record{cost: row.cost, salt: make([]byte, row.salt), tags: [][]byte{make([]byte, row.tag)}}); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

func TestDamagedRecord(t *testing.T) {
	good := string(knownRecord(t))
	for name, bad := range map[string]string{
		"empty":               "",
		"other algorithm":     strings.Replace(good, "argon2id", "argon2i", 1),
		"bcrypt":              "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
		"other version":       strings.Replace(good, "v=19", "v=16", 1),
		"no version":          strings.Replace(good, "$v=19", "", 1),
		"much memory":         strings.Replace(good, "m=64", "m=262145", 1),
		"all memory":          strings.Replace(good, "m=64", "m=4294967295", 1),
		"overflowing memory":  strings.Replace(good, "m=64", "m=4294967360", 1),
		"little memory":       strings.Replace(good, "m=64", "m=7", 1),
		"memory below lanes":  strings.Replace(good, "m=64,t=1,p=1", "m=64,t=1,p=9", 1),
		"many passes":         strings.Replace(good, "t=1", "t=11", 1),
		"no pass":             strings.Replace(good, "t=1", "t=0", 1),
		"many lanes":          strings.Replace(good, "m=64,t=1,p=1", "m=1024,t=1,p=17", 1),
		"lanes beyond a byte": strings.Replace(good, "m=64,t=1,p=1", "m=8192,t=1,p=257", 1),
		"no lane":             strings.Replace(good, "p=1", "p=0", 1),
		"leading zero":        strings.Replace(good, "m=64", "m=064", 1),
		"sign":                strings.Replace(good, "m=64", "m=+64", 1),
		"no name":             strings.Replace(good, "m=64", "64", 1),
		"other order":         strings.Replace(good, "m=64,t=1", "t=1,m=64", 1),
		"key id":              strings.Replace(good, "p=1", "p=1,keyid=1", 1),
		"line break":          strings.Replace(good, "c29t", "c29t\n", 1),
		"padding":             strings.Replace(good, "ZXNhbHQ$", "ZXNhbHQ=$", 1),
		"stray bits":          strings.Replace(good, "ZXNhbHQ$", "ZXNhbHR$", 1),
		"short salt":          strings.Replace(good, "c29tZXNhbHQ", "c29tZQ", 1),
		"long salt":           strings.Replace(good, "c29tZXNhbHQ", strings.Repeat("c29t", 22), 1),
		"short tag":           good[:len(good)-16],
		"long tag":            good + strings.Repeat("AAAA", 14),
		"tags of two lengths": good + ",ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnA",
		"empty second tag":    good + ",",
		"many tags":           good + strings.Repeat(",ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7", 32),
		"a mebibyte":          good + strings.Repeat("$", 1<<20),
		"trailing":            good + " ",
	} {
		t.Run(name, func(t *testing.T) {
			if r, err := parseRecord([]byte(bad)); err == nil {
				t.Errorf("parsed as %+v", r)
			}
		})
	}
}

func FuzzPHC(f *testing.F) {
	f.Add([]byte("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0m4Rpvh/bnCi7"))
	f.Add([]byte("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$"))
	f.Add([]byte("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$ZVrRXqxlLcWfcXCnMyv0mw,ZVrRXqxlLcWfcXCnMyv0mw"))
	f.Add([]byte("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Errorf("%q reads as %q", b, r.encode())
		}
		c := r.cost
		if c.memory > maxMemory || c.time < 1 || c.time > maxTime || c.threads < 1 || c.threads > maxThreads || len(r.tags) > maxTags {
			t.Errorf("out of bounds: %+v", c)
		}
		for _, tag := range r.tags {
			if len(tag) < minTag || len(tag) != len(r.tags[0]) {
				t.Errorf("tag of %d bytes", len(tag))
			}
		}
	})
}
