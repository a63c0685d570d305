// Package sandboxtest helps to test the sandbox and those who stand behind it: a builder for small WebAssembly
// binaries, guests made with it, and a Host in memory that behaves like one offline node. It is for tests only and
// needs no WebAssembly toolchain.
package sandboxtest
