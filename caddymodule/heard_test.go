package caddymodule

import (
	"bytes"
	"strings"
	"testing"
)

// frame is what a client sends: with a mask, which is 0 here.
func frame(opcode byte, payload int) string {
	head := []byte{opcode, 0x80}
	switch {
	case payload < 126:
		head[1] |= byte(payload)
	case payload < 1<<16:
		head = append(head[:1], 0x80|126, byte(payload>>8), byte(payload))
	default:
		head = append(head[:1], 0x80|127, 0, 0, 0, 0, byte(payload>>24), byte(payload>>16), byte(payload>>8), byte(payload))
	}
	return string(head) + "\x00\x00\x00\x00" + strings.Repeat("x", payload)
}

const (
	text   = 0x81
	blob   = 0x82
	more   = 0x80 // the last part of a message
	hangUp = 0x88
	ping   = 0x89
	pong   = 0x8a
)

func TestWhatIsASignOfLife(t *testing.T) { // S55
	for _, c := range []struct {
		name, sent string
		want       bool
	}{
		{"text", frame(text, 5), true},
		{"binary", frame(blob, 200), true},
		{"a long message", frame(blob, 70000), true},
		{"an empty one", frame(text, 0), true},
		{"a part", frame(text&0x0f, 5), true},
		{"the last part", frame(more, 5), true},
		{"an answer to a ping", frame(pong, 4), false},
		{"many of them", strings.Repeat(frame(pong, 4)+frame(pong, 0), 100), false},
		{"a ping", frame(ping, 125), false},
		{"the end", frame(hangUp, 2), false},
		{"text after answers", frame(pong, 4) + frame(pong, 4) + frame(text, 1), true},
		{"answers whose payload looks like text", strings.ReplaceAll(frame(pong, 100), "x", "\x81"), false},
		{"a message without a mask", "\x81\x05hello", true},
		{"nothing", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := ear{frames: true}
			if got := e.hears([]byte(c.sent)); got != c.want {
				t.Errorf("at once: %t", got)
			}
			e, got := ear{frames: true}, false
			for i := range len(c.sent) {
				got = e.hears([]byte{c.sent[i]}) || got
			}
			if got != c.want {
				t.Errorf("byte by byte: %t", got)
			}
			if e.have != 0 || e.rest != 0 {
				t.Errorf("%d bytes of a head and %d of a payload are missing", e.have, e.rest)
			}
		})
	}
	t.Run("no WebSocket", func(t *testing.T) {
		if e := new(ear); !e.hears([]byte{pong}) || e.hears(nil) {
			t.Error("whatever is sent is one")
		}
	})
}

// What is heard does not depend on how the bytes come.
func FuzzEar(f *testing.F) {
	f.Add([]byte(frame(pong, 4)+frame(text, 300)), 3)
	f.Add([]byte(frame(blob, 70000)), 1)
	f.Add([]byte("\x8a\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 4)
	f.Fuzz(func(t *testing.T, sent []byte, cut int) {
		whole, parts := ear{frames: true}, ear{frames: true}
		want, got := whole.hears(sent), false
		if cut < 1 || cut > len(sent) {
			cut = 1
		}
		for p := sent; len(p) > 0; p = p[min(cut, len(p)):] {
			got = parts.hears(p[:min(cut, len(p))]) || got
		}
		// What is left of a head that is over is of no interest.
		if got != want || whole.rest != parts.rest || whole.have != parts.have || !bytes.Equal(whole.head[:whole.have], parts.head[:parts.have]) {
			t.Errorf("%t and %+v, in parts %t and %+v", want, whole, got, parts)
		}
	})
}
