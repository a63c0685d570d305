// Programs whose time is all computation: what metering costs is measured with them, and that it changes nothing.
//
//   clang --target=wasm32 -O2 -nostdlib -mbulk-memory -Wl,--no-entry -o programs.wasm programs.c

typedef unsigned int u32;
#define EXPORT(name) __attribute__((export_name(#name))) u32 name

static const u32 k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static u32 rotate(u32 x, int n) { return x >> n | x << (32 - n); }

// sha is the inner loop of SHA-256 over n blocks.
EXPORT(sha)(u32 n) {
  u32 h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}, w[64];
  for (u32 block = 0; block < n; block++) {
    for (int i = 0; i < 16; i++) w[i] = block * 16 + i;
    for (int i = 16; i < 64; i++) {
      u32 a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    u32 s[8];
    for (int i = 0; i < 8; i++) s[i] = h[i];
    for (int i = 0; i < 64; i++) {
      u32 t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
      u32 t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      s[7] = s[6], s[6] = s[5], s[5] = s[4], s[4] = s[3] + t1, s[3] = s[2], s[2] = s[1], s[1] = s[0], s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
  }
  return h[0] ^ h[7];
}

static u32 numbers[4096];

// sort sorts 4,096 numbers n times.
EXPORT(sort)(u32 n) {
  u32 x = 1, sum = 0;
  while (n--) {
    for (int i = 0; i < 4096; i++) numbers[i] = x = x * 1664525 + 1013904223;
    for (int gap = 1743; gap > 0; gap = (gap * 5 - 1) / 11)
      for (int i = gap; i < 4096; i++) {
        u32 v = numbers[i];
        int j = i;
        for (; j >= gap && numbers[j - gap] > v; j -= gap) numbers[j] = numbers[j - gap];
        numbers[j] = v;
      }
    sum = sum * 31 + numbers[17];
  }
  return sum;
}

// fib is recursion and nothing else.
EXPORT(fib)(u32 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

// sieve has the tightest of loops.
static unsigned char composite[65536];
EXPORT(sieve)(u32 n) {
  u32 count = 0;
  while (n--) {
    __builtin_memset(composite, 0, sizeof composite);
    for (u32 i = 2; i < 65536; i++) {
      if (composite[i]) continue;
      count++;
      for (u32 j = i * 2; j < 65536; j += i) composite[j] = 1;
    }
  }
  return count;
}

// indirect calls small functions through a table.
static u32 add(u32 a, u32 b) { return a + b; }
static u32 mix(u32 a, u32 b) { return a * 31 ^ b; }
static u32 (*volatile operations[2])(u32, u32) = {add, mix};
EXPORT(indirect)(u32 n) {
  u32 v = 1;
  for (u32 i = 0; i < n; i++) v = operations[i & 1](v, i);
  return v;
}
