package armapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/history"
)

// Bounds of what one look at changed hosts takes on.
const (
	statusBatch  = 500             // statuses written at once
	statusAgain  = 5 * time.Second // until a look that failed is tried again
	statusGather = time.Second     // between two looks, so that a storm is some writes
)

// statusHistoryAction is a session host's: when its status changed, newest first.
func (s *Server) statusHistoryAction() Action {
	return Action{Method: http.MethodGet, Path: "statusHistory", Permission: desktopAction("hostPools/sessionHosts/read"), Handle: s.statusHistory}
}

// hostStatusBody is one change of status on the wire.
type hostStatusBody struct {
	At     arm.Time `json:"timestamp"`
	Status string   `json:"status"`
	Reason *string  `json:"statusReason"`
}

func (s *Server) statusHistory(ctx context.Context, q *Request) (Response, error) {
	h, err := s.store.SessionHost(ctx, q.ID)
	if err != nil {
		return Response{}, err
	}
	all := []hostStatusBody{}
	if s.opt.History != nil {
		found, err := s.opt.History.Statuses(ctx, h.ID.Key(), history.StatusesKept)
		if err != nil {
			return Response{}, err
		}
		for _, f := range found {
			all = append(all, hostStatusBody{arm.Time{Time: f.At}, f.Status, textOrNull(f.Reason)})
		}
	}
	return Response{Body: wholeList[hostStatusBody]{all}}, nil
}

// statusKeeper notes when statuses of session hosts change.
type statusKeeper struct {
	s    *Server
	last map[string]history.Status // by host's key, as far as seen
}

// KeepStatuses notes changes of status of session hosts until ctx ends.
func (s *Server) KeepStatuses(ctx context.Context) {
	k := &statusKeeper{s: s, last: map[string]history.Status{}}
	_, n, _, _ := s.changes.since(0, "")
	for {
		changed, next, wake, gone := s.changes.since(n, "")
		if next == n {
			select {
			case <-ctx.Done():
				return
			case <-wake:
			}
			if s.changes.isClosed() {
				return
			}
			continue
		}
		pause := statusGather
		if err := k.look(ctx, changed, gone); err == nil {
			n = next
		} else if ctx.Err() == nil {
			s.log.Error("statuses of session hosts not kept; trying again", "err", err)
			pause = statusAgain
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// look notes the statuses of the hosts that changed; of all hosts when some changes are
// not remembered.
func (k *statusKeeper) look(ctx context.Context, changed []change, gone bool) error {
	var found []history.Status
	see := func(h deskyard.SessionHost) error {
		now, differs, err := k.differs(ctx, h)
		if err == nil && differs {
			found = append(found, now)
		}
		return err
	}
	if gone {
		query := deskyard.HostQuery{Limit: overviewHosts}
		for more := true; more; more = query.After != "" {
			page, err := k.s.store.SessionHosts(ctx, query)
			if err != nil {
				return err
			}
			for _, h := range page.Items {
				if err := see(h); err != nil {
					return err
				}
			}
			query.After = page.Next
		}
	}
	for _, c := range changed {
		if !strings.EqualFold(c.id.Type(), desktopNamespace+"/hostPools/sessionHosts") {
			continue
		}
		h, err := k.s.store.SessionHost(ctx, c.id)
		if arm.IsMissing(err) {
			delete(k.last, c.key)
			continue
		}
		if err == nil {
			err = see(h)
		}
		if err != nil {
			return err
		}
	}
	for len(found) > 0 {
		n := min(statusBatch, len(found))
		if err := k.s.opt.History.AppendStatuses(ctx, found[:n]); err != nil {
			return err
		}
		for _, f := range found[:n] {
			k.last[f.Key] = f
		}
		found = found[n:]
	}
	return nil
}

// differs is a host's status now, and whether it is another than the last one kept.
func (k *statusKeeper) differs(ctx context.Context, h deskyard.SessionHost) (history.Status, bool, error) {
	key := strings.Clone(h.ID.Key())
	live, lease := k.s.live(h)
	at := k.s.now()
	status, reason := live.Status(lease, at)
	now := history.Status{Key: key, At: at, Status: status, Reason: strings.Clone(reason)}
	last, seen := k.last[key]
	if !seen {
		kept, err := k.s.opt.History.Statuses(ctx, key, 1)
		if err != nil {
			return now, false, err
		}
		if len(kept) > 0 {
			last, seen = kept[0], true
			k.last[key] = last
		}
	}
	return now, !seen || last.Status != now.Status || last.Reason != now.Reason, nil
}
