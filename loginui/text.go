package loginui

import (
	"fmt"
	"math"
	"time"
)

// t is the text for id, with args in place of its verbs; "" if there is none. Pages are in English; another language is another
// map, chosen here.
func (x *exchange) t(id string, args ...any) string {
	s := english[id]
	if len(args) > 0 {
		return fmt.Sprintf(s, args...)
	}
	return s
}

// count is the text for n things, which may differ for none and for one.
func (x *exchange) count(id string, n int) string {
	switch {
	case n == 0 && english[id+".none"] != "":
		return x.t(id + ".none")
	case n == 1:
		return x.t(id + ".one")
	}
	return x.t(id+".other", n)
}

// wait is a duration in words, rounded up to a unit that fits.
func (x *exchange) wait(d time.Duration) string {
	up := func(unit time.Duration) int { return int(math.Ceil(float64(d) / float64(unit))) }
	switch {
	case d <= 90*time.Second:
		return x.count("seconds", max(1, up(time.Second)))
	case d <= 90*time.Minute:
		return x.count("minutes", up(time.Minute))
	}
	return x.count("hours", up(time.Hour))
}
