package auth

// AwaitResets returns when every reset that was asked for has been looked up. Close does not do for that: it gives up what waits.
func (s *State) AwaitResets() {
	for range resetRuns {
		s.resets <- struct{}{}
	}
	for range resetRuns {
		<-s.resets
	}
}
