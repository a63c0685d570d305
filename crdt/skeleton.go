package crdt

type GCounterState struct{}

func newGCounter() *GCounterState                                                    { return &GCounterState{} }
func (*GCounterState) Family() Family                                                { return GCounter }
func (s *GCounterState) Apply(author Author, op *Op, ctx Version) (bool, error)      { panic("soon") }
func (s *GCounterState) Merge(other Object, mine, theirs Version) (bool, error)      { panic("soon") }
func (s *GCounterState) Delta(since, ctx Version) []byte                             { panic("soon") }
func (s *GCounterState) MergeDelta(delta []byte, mine, theirs Version) (bool, error) { panic("soon") }
func (s *GCounterState) Load(slot, cell []byte) error                                { panic("soon") }
func (s *GCounterState) Loaded() error                                               { panic("soon") }
func (s *GCounterState) Flush(put func(slot, cell []byte), del func(slot []byte))    { panic("soon") }
func (s *GCounterState) Weight() int                                                 { panic("soon") }
func (s *GCounterState) Value() uint64                                               { panic("soon") }
func (s *GCounterState) Inc(a Author, delta uint64) Op                               { panic("soon") }

type PNCounterState struct{}

func newPNCounter() *PNCounterState                                                   { return &PNCounterState{} }
func (*PNCounterState) Family() Family                                                { return PNCounter }
func (s *PNCounterState) Apply(author Author, op *Op, ctx Version) (bool, error)      { panic("soon") }
func (s *PNCounterState) Merge(other Object, mine, theirs Version) (bool, error)      { panic("soon") }
func (s *PNCounterState) Delta(since, ctx Version) []byte                             { panic("soon") }
func (s *PNCounterState) MergeDelta(delta []byte, mine, theirs Version) (bool, error) { panic("soon") }
func (s *PNCounterState) Load(slot, cell []byte) error                                { panic("soon") }
func (s *PNCounterState) Loaded() error                                               { panic("soon") }
func (s *PNCounterState) Flush(put func(slot, cell []byte), del func(slot []byte))    { panic("soon") }
func (s *PNCounterState) Weight() int                                                 { panic("soon") }
func (s *PNCounterState) Value() int64                                                { panic("soon") }
func (s *PNCounterState) Inc(a Author, delta uint64) Op                               { panic("soon") }
func (s *PNCounterState) Dec(a Author, delta uint64) Op                               { panic("soon") }

type RegisterState struct{}

func (*RegisterState) Family() Family                                                { return LWWRegister }
func (s *RegisterState) Apply(author Author, op *Op, ctx Version) (bool, error)      { panic("soon") }
func (s *RegisterState) Merge(other Object, mine, theirs Version) (bool, error)      { panic("soon") }
func (s *RegisterState) Delta(since, ctx Version) []byte                             { panic("soon") }
func (s *RegisterState) MergeDelta(delta []byte, mine, theirs Version) (bool, error) { panic("soon") }
func (s *RegisterState) Load(slot, cell []byte) error                                { panic("soon") }
func (s *RegisterState) Loaded() error                                               { panic("soon") }
func (s *RegisterState) Flush(put func(slot, cell []byte), del func(slot []byte))    { panic("soon") }
func (s *RegisterState) Weight() int                                                 { panic("soon") }
func (s *RegisterState) Get() ([]byte, bool)                                         { panic("soon") }
func (s *RegisterState) Stamp() (HLC, Dot)                                           { panic("soon") }
func (s *RegisterState) Set(now HLC, value []byte) Op                                { panic("soon") }

type MapState struct{}

func newMap() *MapState                                                         { return &MapState{} }
func (*MapState) Family() Family                                                { return LWWMap }
func (s *MapState) Apply(author Author, op *Op, ctx Version) (bool, error)      { panic("soon") }
func (s *MapState) Merge(other Object, mine, theirs Version) (bool, error)      { panic("soon") }
func (s *MapState) Delta(since, ctx Version) []byte                             { panic("soon") }
func (s *MapState) MergeDelta(delta []byte, mine, theirs Version) (bool, error) { panic("soon") }
func (s *MapState) Load(slot, cell []byte) error                                { panic("soon") }
func (s *MapState) Loaded() error                                               { panic("soon") }
func (s *MapState) Flush(put func(slot, cell []byte), del func(slot []byte))    { panic("soon") }
func (s *MapState) Weight() int                                                 { panic("soon") }
func (s *MapState) Get(field []byte) ([]byte, bool)                             { panic("soon") }
func (s *MapState) Range(f func(field, value []byte) bool)                      { panic("soon") }
func (s *MapState) Len() int                                                    { panic("soon") }
func (s *MapState) Set(now HLC, field, value []byte) Op                         { panic("soon") }
func (s *MapState) Remove(now HLC, field []byte) Op                             { panic("soon") }

type SetState struct{}

func newSet() *SetState                                                         { return &SetState{} }
func (*SetState) Family() Family                                                { return ORSet }
func (s *SetState) Apply(author Author, op *Op, ctx Version) (bool, error)      { panic("soon") }
func (s *SetState) Merge(other Object, mine, theirs Version) (bool, error)      { panic("soon") }
func (s *SetState) Delta(since, ctx Version) []byte                             { panic("soon") }
func (s *SetState) MergeDelta(delta []byte, mine, theirs Version) (bool, error) { panic("soon") }
func (s *SetState) Load(slot, cell []byte) error                                { panic("soon") }
func (s *SetState) Loaded() error                                               { panic("soon") }
func (s *SetState) Flush(put func(slot, cell []byte), del func(slot []byte))    { panic("soon") }
func (s *SetState) Weight() int                                                 { panic("soon") }
func (s *SetState) Contains(elem []byte) bool                                   { panic("soon") }
func (s *SetState) Range(f func(elem []byte) bool)                              { panic("soon") }
func (s *SetState) Len() int                                                    { panic("soon") }
func (s *SetState) Add(elem []byte) Op                                          { panic("soon") }
func (s *SetState) Remove(elem []byte) (Op, bool)                               { panic("soon") }

type SequenceState struct{}

func newSequence() *SequenceState                                                    { return &SequenceState{} }
func (*SequenceState) Family() Family                                                { return Sequence }
func (s *SequenceState) Apply(author Author, op *Op, ctx Version) (bool, error)      { panic("soon") }
func (s *SequenceState) Merge(other Object, mine, theirs Version) (bool, error)      { panic("soon") }
func (s *SequenceState) Delta(since, ctx Version) []byte                             { panic("soon") }
func (s *SequenceState) MergeDelta(delta []byte, mine, theirs Version) (bool, error) { panic("soon") }
func (s *SequenceState) Load(slot, cell []byte) error                                { panic("soon") }
func (s *SequenceState) Loaded() error                                               { panic("soon") }
func (s *SequenceState) Flush(put func(slot, cell []byte), del func(slot []byte))    { panic("soon") }
func (s *SequenceState) Weight() int                                                 { panic("soon") }
func (s *SequenceState) Range(f func(id Dot, value []byte) bool)                     { panic("soon") }
func (s *SequenceState) Len() int                                                    { panic("soon") }
func (s *SequenceState) Has(id Dot) bool                                             { panic("soon") }
func (s *SequenceState) InsertAfter(parent Dot, values [][]byte) Op                  { panic("soon") }
func (s *SequenceState) InsertAt(pos int, values [][]byte) Op                        { panic("soon") }
func (s *SequenceState) Delete(runs ...DotRun) Op                                    { panic("soon") }
func (s *SequenceState) DeleteRange(pos, n int) Op                                   { panic("soon") }
