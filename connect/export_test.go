package connect

import "time"

// PollEvery has clients that wait for a machine look for it this often.
func (s *Service) PollEvery(d time.Duration) { s.poll = d }

// Ticket is a ticket of the service's own key that says payload.
func (s *Service) Ticket(payload string) string { return s.sealed([]byte(payload)) }
