package auth

import (
	"slices"
	"time"
)

// Policy is what an admin demands of people's second methods. Several add up: each must be met.
type Policy struct {
	Name    string        // what people see; no two of a Config are alike
	For     []Principal   // any of these; empty: everybody
	Methods []string      // one of these must be set up, and be used at sign-in; empty: any that people set up, which mail is not
	From    time.Time     // not before; zero: from the start
	Grace   time.Duration // after the person first heard of it, at a sign-in; 0: none
}

// Duty is a policy that applies to a person.
type Duty struct {
	Policy
	Because []Principal // those of For that the person is; none: it is for everybody
	Met     bool
	MetBy   []string  // methods, in the order in which they were found
	Heard   time.Time // with a Grace: when the person first heard of it; zero: not yet
	// Due is when it must be met, or had to be. Until then the person is reminded, and goes on with what they have. With a Grace of
	// which nobody has heard it is what a sign-in now would make it.
	Due time.Time
}

// Overdue reports whether nobody may sign in before it is met.
func (d *Duty) Overdue(now time.Time) bool { return !d.Met && !now.Before(d.Due) }

// applies reports whether p is for u, and why; nil for a policy that is for everybody.
func (p *Policy) applies(u *User) (because []Principal, ok bool) {
	for _, who := range p.For {
		if who.is(u) {
			because = append(because, who)
		}
	}
	return because, len(p.For) == 0 || len(because) > 0
}

// Counts reports whether a method is one that p asks for.
func (p *Policy) Counts(method string) bool {
	if len(p.Methods) > 0 {
		return slices.Contains(p.Methods, method)
	}
	return second(method) && method != MethodEmail
}

// due is when p must be met by u. A grace period begins at the first sign-in after the policy came into force, or before it, so that
// everybody has heard of it for so long.
func (p *Policy) due(now time.Time, u *User) time.Time {
	if p.Grace == 0 {
		return p.From
	}
	heard, ok := u.Noticed[p.Name]
	if !ok {
		heard = now
	}
	if end := heard.Add(p.Grace); end.After(p.From) {
		return end
	}
	return p.From
}

// duties are the policies that apply to u, in the order of the configuration. A credential that is disabled, or whose method is
// switched off, meets none.
func (r *Realm) duties(now time.Time, u *User, creds []held) []Duty {
	var out []Duty
	for i := range r.policies {
		p := &r.policies[i]
		because, ok := p.applies(u)
		if !ok {
			continue
		}
		d := Duty{Policy: *p, Because: because, Due: p.due(now, u)}
		if p.Grace > 0 {
			d.Heard = u.Noticed[p.Name]
		}
		for _, c := range creds {
			if !c.Disabled && p.Counts(c.Method) && r.method(c.Method) != nil && !slices.Contains(d.MetBy, c.Method) {
				d.MetBy = append(d.MetBy, c.Method)
			}
		}
		d.Met = len(d.MetBy) > 0
		out = append(out, d)
	}
	return out
}

// namesOf are the names of policies.
func namesOf(duties []Duty) (names []string) {
	for _, d := range duties {
		names = append(names, d.Name)
	}
	return names
}

// inForce names the policies that are met, and now want to see it.
func inForce(now time.Time, duties []Duty) (names []string) {
	for i := range duties {
		d := &duties[i]
		if d.Met && !now.Before(d.Due) {
			names = append(names, d.Name)
		}
	}
	return names
}

// wanted are those of ways that every policy that is in force and met counts; where one method cannot be all of that, those that some
// policy counts, and owed asks for the rest. Recovery codes are for when that is lost, and always do; so does the password.
func wanted(now time.Time, duties []Duty, ways []string) []string {
	count := func(method string) (yes, no bool) {
		for i := range duties {
			d := &duties[i]
			if d.Met && !now.Before(d.Due) {
				yes, no = yes || d.Counts(method), no || !d.Counts(method)
			}
		}
		return yes, no
	}
	some := slices.DeleteFunc(ways, func(m string) bool {
		yes, no := count(m)
		return second(m) && no && !yes
	})
	all := slices.DeleteFunc(slices.Clone(some), func(m string) bool {
		_, no := count(m)
		return second(m) && no
	})
	if slices.ContainsFunc(all, second) {
		return all
	}
	return some
}

// demanded are the methods that a person must set up before a sign-in ends, and the policies that say so: methods that all of these
// count, or else, where it takes more than one, those of the first. With policies and no method nothing that would do can be set up here.
func (r *Realm) demanded(now time.Time, site Site, u *User, creds []held) (methods []string, policies []Duty) {
	can := r.enrollable(site)
	all := can
	for _, d := range r.duties(now, u, creds) {
		if !d.Overdue(now) {
			continue
		}
		policies = append(policies, d)
		not := func(m string) bool { return !d.Counts(m) }
		if all = slices.DeleteFunc(slices.Clone(all), not); len(methods) == 0 {
			methods = slices.DeleteFunc(slices.Clone(can), not)
		}
	}
	if len(policies) > 0 && len(all) > 0 {
		methods = all
	}
	return methods, policies
}

// owed are the methods of which a policy that is in force and met wants to see one, and has not: two kinds alone get nobody by it,
// such as a passkey where apps are demanded. With a policy and no method there is none that works here.
func (r *Realm) owed(now time.Time, site Site, duties []Duty, proofs []Proof, creds []held) (methods []string, policy string) {
	i := slices.IndexFunc(duties, func(d Duty) bool {
		return d.Met && !now.Before(d.Due) && !slices.ContainsFunc(proofs, func(p Proof) bool {
			return d.Counts(p.Method) || p.Method == MethodRecovery
		})
	})
	if i < 0 {
		return nil, ""
	}
	for _, name := range r.preference() {
		if m := r.at(site, name); m != nil && (duties[i].Counts(name) || name == MethodRecovery) && len(fitting(m, creds)) > 0 {
			methods = append(methods, name)
		}
	}
	return methods, duties[i].Name
}

// announced are the policies that a person does not meet, and need not yet.
func announced(now time.Time, duties []Duty) (out []Duty) {
	for i := range duties {
		d := &duties[i]
		if !d.Met && now.Before(d.Due) {
			out = append(out, *d)
		}
	}
	return out
}

// broken names the policies that are met with creds, and would not be with rest.
func (r *Realm) broken(now time.Time, u *User, creds, rest []held) (names []string) {
	after := r.duties(now, u, rest)
	for i, d := range r.duties(now, u, creds) {
		if d.Met && !after[i].Met {
			names = append(names, d.Name)
		}
	}
	return names
}

// notice notes when a person first heard of the policies that they do not meet. It reports whether that changed u.
func (u *User) notice(now time.Time, duties []Duty) (changed bool) {
	for _, d := range announced(now, duties) {
		if _, heard := u.Noticed[d.Name]; heard || d.Grace == 0 {
			continue
		}
		if u.Noticed == nil {
			u.Noticed = map[string]time.Time{}
		}
		u.Noticed[d.Name], changed = now, true
	}
	return changed
}
