//go:build !linux

package sandbox

func yieldThread() {}
