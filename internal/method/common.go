package method

import (
	"compress/gzip"
	_ "embed"
	"io"
	"strings"
	"sync"
)

// commonPasswords returns the commonest passwords of MinPassword characters or more: lower case, one a line, sorted bytewise. They
// are the list of @zxcvbn-ts/language-common (MIT licence, see common.txt.license), which gen/common.go fetches, pinned by version
// and hash. They take no heap and no time before somebody chooses a password.
var commonPasswords = sync.OnceValue(func() string {
	r, err := gzip.NewReader(strings.NewReader(commonPacked))
	if err != nil {
		panic(err) // it is part of the program
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return unpack(string(text))
})

// unpack undoes front coding: a line's first byte says, counted from a space, how many bytes it shares with the line before.
func unpack(packed string) string {
	var list strings.Builder
	last := ""
	for line := range strings.Lines(packed) {
		last = last[:line[0]-' '] + line[1:]
		list.WriteString(last)
	}
	return list.String()
}

//go:generate go run gen/common.go
//go:embed common.txt.gz
var commonPacked string

// common reports whether s, in lower case, is among the commonest passwords.
func common(s string) bool {
	list := commonPasswords()
	lo, hi := 0, len(list) // both at the start of a line
	for lo < hi {
		mid := lo + (hi-lo)/2
		start := lo + strings.LastIndexByte(list[lo:mid], '\n') + 1
		line, _, _ := strings.Cut(list[start:hi], "\n")
		switch {
		case line == s:
			return true
		case s < line:
			hi = start
		default:
			lo = start + len(line) + 1
		}
	}
	return false
}
