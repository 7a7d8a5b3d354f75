/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * SHA-256 (FIPS 180-4) of a kernel buffer, calculated in the kernel, so that there is no copy that could be
 * changed in the meantime. The working memory is in task storage, since a program that sleeps may share its
 * processor with another.
 */
#pragma once

#define SHA256_BLOCK 64
/* A hook that can't sleep must end in reasonable time. */
#define SHA256_MAX (256ULL << 20)

static const u32 sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#define ROTR(x, n) ((x) >> (n) | (x) << (32 - (n)))

/* Hashes the block in s->block. The loops are not unrolled, because the function would then need more stack
 * than a BPF program has. */
static __noinline int sha256_block(struct sha256* s) {
  if (!s) return 0;
#pragma clang loop unroll(disable)
  for (u32 i = 0; i < 16; ++i) s->w[i] = __builtin_bswap32(((u32*)s->block)[i]);
  u32 a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3];
  u32 e = s->h[4], f = s->h[5], g = s->h[6], h = s->h[7];
#pragma clang loop unroll(disable)
  for (u32 i = 0; i < 64; ++i) {
    if (i >= 16) {
      u32 w15 = s->w[(i + 1) & 15], w2 = s->w[(i + 14) & 15];
      s->w[i & 15] += (ROTR(w15, 7) ^ ROTR(w15, 18) ^ w15 >> 3) + s->w[(i + 9) & 15] +
                      (ROTR(w2, 17) ^ ROTR(w2, 19) ^ w2 >> 10);
    }
    u32 t1 = h + (ROTR(e, 6) ^ ROTR(e, 11) ^ ROTR(e, 25)) + ((e & f) ^ (~e & g)) + sha256_k[i] + s->w[i & 15];
    u32 t2 = (ROTR(a, 2) ^ ROTR(a, 13) ^ ROTR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  s->h[0] += a, s->h[1] += b, s->h[2] += c, s->h[3] += d;
  s->h[4] += e, s->h[5] += f, s->h[6] += g, s->h[7] += h;
  return 0;
}

struct sha256_walk {
  struct sha256* s;
  u64 from;
  u64 instructions; /* whether these are BPF instructions, whose map descriptors are left out */
  u64 second_half;
  u64 failed;
};

/* Clears the numbers of map descriptors, which differ at each load. The kernel does the same for a program's
 * tag. */
static __always_inline void leave_out_maps(struct sha256_walk* w) {
  u8* block = w->s->block;
#pragma clang loop unroll(full)
  for (int i = 0; i < SHA256_BLOCK; i += 8) {
    u8 code = block[i], source = block[i + 1] >> 4;
    bool first =
        !w->second_half && code == 0x18 && (source == 1 || source == 2); /* BPF_LD | BPF_IMM | BPF_DW */
    if (first || w->second_half) *(u32*)(block + i + 4) = 0;
    w->second_half = first;
  }
}

static long sha256_step(u64 index, void* context) {
  struct sha256_walk* w = context;
  if (bpf_probe_read_kernel(w->s->block, SHA256_BLOCK, (const void*)(w->from + index * SHA256_BLOCK))) {
    w->failed = 1;
    return 1;
  }
  if (w->instructions) leave_out_maps(w);
  sha256_block(w->s);
  return 0;
}

/* Returns 0, or -1 if the buffer is too long or can't be read. */
static __always_inline int sha256(struct sha256* s, const void* from, u64 size, bool instructions, u8* out) {
  struct sha256_walk w = {.s = s, .from = (u64)from, .instructions = instructions};
  if (size > SHA256_MAX) return -1;
  s->h[0] = 0x6a09e667, s->h[1] = 0xbb67ae85, s->h[2] = 0x3c6ef372, s->h[3] = 0xa54ff53a;
  s->h[4] = 0x510e527f, s->h[5] = 0x9b05688c, s->h[6] = 0x1f83d9ab, s->h[7] = 0x5be0cd19;
  u32 blocks = size / SHA256_BLOCK;
  bpf_loop(blocks, sha256_step, &w, 0);
  if (w.failed) return -1;
  u32 rest = size & (SHA256_BLOCK - 1);
  __builtin_memset(s->block, 0, SHA256_BLOCK);
  if (rest && bpf_probe_read_kernel(s->block, rest, from + (u64)blocks * SHA256_BLOCK)) return -1;
  if (instructions) leave_out_maps(&w);
  s->block[rest] = 0x80;
  if (rest >= SHA256_BLOCK - 8) {
    sha256_block(s);
    __builtin_memset(s->block, 0, SHA256_BLOCK);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; ++i) s->block[63 - i] = (size * 8) >> (8 * i);
  sha256_block(s);
#pragma clang loop unroll(full)
  for (int i = 0; i < 32; ++i) out[i] = s->h[i / 4] >> (24 - 8 * (i & 3));
  return 0;
}
