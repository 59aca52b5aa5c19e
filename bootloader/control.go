package bootloader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// listenControl opens the control socket, for this user only. A socket file that
// nobody listens on is what a killed boot loader left.
func listenControl(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("open control socket %s: another boot loader answers on it; stop that one first", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open control socket: %w", err), l.Close())
	}
	return l, nil
}

// control is the handler of the control socket.
func (s *Supervisor) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/ready", func(w http.ResponseWriter, r *http.Request) {
		var m readyMessage
		if !readControl(w, r, &m) {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 25*time.Second)
		defer cancel()
		answerControl(w, s.Ready(ctx, m.Component, m.Version))
	})
	mux.HandleFunc("PUT /v1/desired", func(w http.ResponseWriter, r *http.Request) {
		var m desiredMessage
		if readControl(w, r, &m) {
			answerControl(w, s.SetDesired(m.Components))
		}
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// A caller that has gone away needs no answer.
		_ = json.NewEncoder(w).Encode(s.Status())
	})
	return mux
}

// readControl decodes a bounded body, or answers what is wrong with it.
func readControl(w http.ResponseWriter, r *http.Request, into any) bool {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		refuseControl(w, http.StatusBadRequest, fmt.Errorf("read message: %w", err))
		return false
	}
	return true
}

func answerControl(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, errAway):
		refuseControl(w, http.StatusServiceUnavailable, err)
		return
	case err != nil:
		refuseControl(w, http.StatusConflict, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func refuseControl(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(errorMessage{err.Error()})
}
