// Package e2e proves the whole: journeys in a real browser, and races, crashes and reloads over HTTP, all against the real binary.
// It holds only tests; what they share with the measurements in bench is in rig.
//
// The journeys leave a screenshot of every page, in light, dark and 360 pixels wide, in out/. Look at them after changing a page.
// axe-core, which tools/setup installs from npm, checks every page as it is in each of them.
package e2e
