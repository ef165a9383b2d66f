package mail

import (
	"strings"
	"unicode"
)

// width is where lines of the text end: a terminal has 80 columns, and an answer quotes with "> ".
const width = 72

// rows are facts in two columns.
func rows(facts []fact) string {
	column := 0
	for _, f := range facts {
		column = max(column, columns(f.Label))
	}
	var lines []string
	for _, f := range facts {
		label := "  " + f.Label + strings.Repeat(" ", column-columns(f.Label)+2)
		lines = append(lines, wrap(f.Value, label, strings.Repeat(" ", column+4)))
	}
	return strings.Join(lines, "\n")
}

// wrap breaks s into lines, beginning with first and every further line with rest: at spaces, and between characters of scripts that have
// none. What is too long without either stays whole.
func wrap(s, first, rest string) string {
	var b strings.Builder
	b.WriteString(first)
	column, fresh := columns(first), true
	for word := range strings.SplitSeq(s, " ") { // hair spaces do not count: lines do not end inside of a name
		gap := 1
		for word != "" || gap == 1 {
			n := piece(word)
			part := columns(word[:n])
			if !fresh && column+gap+part > width {
				b.WriteString("\n" + rest)
				column, fresh = columns(rest), true
			}
			if !fresh && gap == 1 {
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word[:n])
			column, fresh, gap, word = column+part, false, 0, word[n:]
		}
	}
	return b.String()
}

// What a line does not begin with, and what it does not end with (JIS X 4051, section 6).
const (
	noBegin = "、。，．・：；？！…‥ー〜～゛゜々〻ゝゞヽヾ）］｝〕〉》」』】〙〗〟’”ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ)]}.,:;!?»%"
	noEnd   = "（［｛〔〈《「『【〘〖〝‘“([{«"
)

// piece is how much of word, in bytes, stands on one line: lines end before and after wide characters, but for what noBegin and noEnd forbid.
func piece(word string) int {
	last := rune(0)
	for i, r := range word {
		if i > 0 && (wide(last) || wide(r)) && !strings.ContainsRune(noBegin, r) && !strings.ContainsRune(noEnd, last) && !narrow(r) {
			return i
		}
		last = r
	}
	return len(word)
}

// columns is how wide s is on a terminal.
func columns(s string) (n int) {
	for _, r := range s {
		switch {
		case wide(r):
			n += 2
		case !narrow(r):
			n++
		}
	}
	return n
}

// narrow reports whether r takes no column: a mark on the character before it, or of the direction.
func narrow(r rune) bool { return unicode.In(r, unicode.Mn, unicode.Cf) }

// wide reports whether r takes two columns: the blocks of East Asian scripts (UAX #11).
func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115F || r >= 0x2E80 && r <= 0xA4CF && !narrow(r) || r >= 0xAC00 && r <= 0xD7A3 || r >= 0xF900 && r <= 0xFAFF ||
		r >= 0xFE30 && r <= 0xFE4F || r >= 0xFF00 && r <= 0xFF60 || r >= 0xFFE0 && r <= 0xFFE6 || r >= 0x20000 && r <= 0x3FFFD
}
