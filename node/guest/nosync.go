package guest

import (
	"context"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/sandbox"
)

// noSync is sandbox.CRDT with sync off: everything answers -5, but a commit
// still covers db_* writes.
type noSync struct{ r *replica.Replica }

func (noSync) Ready() error                         { return sandbox.ErrSyncDisabled }
func (noSync) GCounterInc(string, uint64) error     { return sandbox.ErrSyncDisabled }
func (noSync) GCounterValue(string) (uint64, error) { return 0, sandbox.ErrSyncDisabled }
func (noSync) PNCounterInc(string, uint64) error    { return sandbox.ErrSyncDisabled }
func (noSync) PNCounterDec(string, uint64) error    { return sandbox.ErrSyncDisabled }
func (noSync) PNCounterValue(string) (int64, error) { return 0, sandbox.ErrSyncDisabled }
func (noSync) LWWSet(string, []byte) error          { return sandbox.ErrSyncDisabled }
func (noSync) LWWGet(string) ([]byte, bool, error)  { return nil, false, sandbox.ErrSyncDisabled }
func (noSync) MapSet(string, string, []byte) error  { return sandbox.ErrSyncDisabled }
func (noSync) MapRemove(string, string) error       { return sandbox.ErrSyncDisabled }
func (noSync) MapGet(string, string) ([]byte, bool, error) {
	return nil, false, sandbox.ErrSyncDisabled
}

func (noSync) MapContains(string, string) (bool, error) { return false, sandbox.ErrSyncDisabled }

func (noSync) MapEntries(string, func(string, []byte) bool) error { return sandbox.ErrSyncDisabled }
func (noSync) SetAdd(string, string) error                        { return sandbox.ErrSyncDisabled }
func (noSync) SetRemove(string, string) error                     { return sandbox.ErrSyncDisabled }
func (noSync) SetContains(string, string) (bool, error)           { return false, sandbox.ErrSyncDisabled }

func (noSync) SetElements(string, func(string) bool) error { return sandbox.ErrSyncDisabled }

func (noSync) RGAInsert(string, string, []byte) (string, error) { return "", sandbox.ErrSyncDisabled }
func (noSync) RGADelete(string, string) error                   { return sandbox.ErrSyncDisabled }
func (noSync) RGAValues(string, func([]byte) bool) error        { return sandbox.ErrSyncDisabled }
func (n noSync) Commit(ctx context.Context) error               { return guestError(n.r.Sync(ctx)) }
