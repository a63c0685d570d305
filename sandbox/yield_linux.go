package sandbox

import "syscall"

// yieldThread lets other threads have this processor. Gosched is for goroutines alone: what the kernel would run here,
// such as the end of an fsync, otherwise waits until the time slice of the guest's thread is over, which is
// milliseconds.
func yieldThread() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
