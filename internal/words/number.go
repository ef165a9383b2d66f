package words

import "strconv"

// Number is n in the digits of the language.
func (l *Language) Number(n int) string { return strconv.Itoa(n) }
