package caddymodule

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// requests counts what became of requests at the gate. Nothing that a visitor chooses is a label.
var requests = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "caddy",
	Subsystem: "mfa",
	Name:      "requests_total",
	Help:      "Requests at the gate, by what was decided.",
}, []string{"decision"})

// One counter a decision, looked up once: the gate only adds.
var (
	countAllow     = requests.WithLabelValues("allow")
	countPublic    = requests.WithLabelValues("public")
	countSignIn    = requests.WithLabelValues("sign_in")
	countStepUp    = requests.WithLabelValues("step_up")
	countEnroll    = requests.WithLabelValues("enroll")
	countReported  = requests.WithLabelValues("reported")
	countToken     = requests.WithLabelValues("token_refused")
	countDeny      = requests.WithLabelValues("deny")
	countPortal    = requests.WithLabelValues("portal")
	countAmbiguous = requests.WithLabelValues("ambiguous_path")
	countInsecure  = requests.WithLabelValues("insecure")
	countForeign   = requests.WithLabelValues("unknown_host")
	countFault     = requests.WithLabelValues("fault")
)

// registerMetrics adds our collectors to a config's registry, unless they are there.
func registerMetrics(registry prometheus.Registerer) error {
	if err := registry.Register(requests); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}
