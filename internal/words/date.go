package words

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
)

// A moment is written by three texts of each file, which are facts of CLDR, not translations: date.time is the pattern, and may name what
// is in dateParts; date.months are the names of the months, parted by |, and date.halves those of the halves of a day, where a pattern
// names them. The packages that hold CLDR whole weigh more than all our words; a test compares these with what a browser writes.
const (
	dateTime   = "date.time"
	dateMonths = "date.months"
	dateHalves = "date.halves"
)

// dateParts are what a pattern may name: with two digits where the name is double. Half12 goes from 1 to 12.
var dateParts = []string{"Day", "DayDay", "Month", "MonthMonth", "Year", "Hour", "HourHour", "Half12", "Minute", "Half"}

// Moment is t in its own zone, to the minute. It does not name the zone.
func (l *Language) Moment(t time.Time) string {
	p, ok := l.all()[key{dateTime, plural.Other}]
	if !ok && l.fallback != nil {
		return l.fallback.Moment(t)
	}
	two := func(n int) string { return strconv.Itoa(n/10) + strconv.Itoa(n%10) }
	h, m := t.Hour(), int(t.Month())
	values := [...]string{
		strconv.Itoa(t.Day()), two(t.Day()), l.part(dateMonths, m-1), two(m), strconv.Itoa(t.Year()),
		strconv.Itoa(h), two(h), strconv.Itoa((h+11)%12 + 1), two(t.Minute()), l.part(dateHalves, h/12),
	}
	var b strings.Builder
	at := 0
	for _, h := range p.holes {
		b.WriteString(p.text[at:h.at])
		b.WriteString(values[h.arg])
		at = h.at
	}
	b.WriteString(p.text[at:])
	return b.String()
}

// part is the name at a place of a list; "" where there are not so many.
func (l *Language) part(id string, at int) string {
	parts := strings.Split(l.texts[key{id, plural.Other}].text, "|")
	if at >= len(parts) {
		return ""
	}
	return parts[at]
}
