package sqlstore

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// runner runs statements outside of a transaction or inside one.
type runner interface {
	query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
	// exec answers how many rows the statement changed.
	exec(ctx context.Context, text string, args ...any) (int64, error)
}

// queries implements deskyard.Reader on any runner.
type queries struct{ run runner }

// transaction implements deskyard.Tx.
type transaction struct {
	queries
	now     func() time.Time
	changed []arm.ResourceID // resources and session hosts put or deleted so far
}

var _ deskyard.Tx = (*transaction)(nil)

// one scans the first row of a query into dest; sql.ErrNoRows when there is none.
func (q queries) one(ctx context.Context, text string, args []any, dest ...any) error {
	rows, err := q.run.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	return rows.Close()
}

// prepared runs statements that it compiles once and keeps: with SQLite,
// compiling costs as much as running. The texts are those of this package, a few
// dozen, so nothing is ever dropped.
type prepared struct {
	db interface { // *sql.DB or *sql.Conn
		PrepareContext(ctx context.Context, text string) (*sql.Stmt, error)
	}
	mu         sync.Mutex // guards statements
	statements map[string]*sql.Stmt
}

func (p *prepared) statement(ctx context.Context, text string) (*sql.Stmt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.statements[text]; s != nil {
		return s, nil
	}
	s, err := p.db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if p.statements == nil {
		p.statements = map[string]*sql.Stmt{}
	}
	p.statements[text] = s
	return s, nil
}

func (p *prepared) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	s, err := p.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

func (p *prepared) exec(ctx context.Context, text string, args ...any) (int64, error) {
	s, err := p.statement(ctx, text)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// close releases the statements.
func (p *prepared) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.statements {
		s.Close() // nothing to do about an error: its connection goes next
	}
	p.statements = nil
}

// direct runs statements as they are; pgx keeps its own prepared ones.
type direct struct {
	db interface { // *sql.DB or *sql.Tx
		QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error)
		ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
	}
}

func (d direct) query(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	return d.db.QueryContext(ctx, text, args...)
}

func (d direct) exec(ctx context.Context, text string, args ...any) (int64, error) {
	r, err := d.db.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
