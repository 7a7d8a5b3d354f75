/* What this process has had measured, so that an unchanged file is asked for once; and whether there was an
 * attester a moment ago.
 *
 * No lock: each slot has a sequence number, which is odd while it is written. A reader that finds it odd, or
 * changed, has found nothing; a writer that finds it odd keeps nothing. So a child of fork() that finds a
 * slot half written by a thread that it does not have loses this slot and no more, and a signal handler can't
 * wait for the code that it interrupted. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "assay.h"
#include "internal.h"

#define NS 1000000000ull
#define RACY (2 * NS) /* a change within this time may leave the times as they are */
#define MOMENT (NS)   /* for so long an attester, or that there is none, is taken for granted */
#define SLOTS 2048u   /* a power of two */
#define WAYS 4u
#define STATX_UNIQUE 0x4000u /* STATX_MNT_ID_UNIQUE, Linux 6.8 */

struct slot {
  _Atomic uint64_t sequence;
  _Atomic uint64_t dev, ino, size, mtime, ctime;
  _Atomic uint64_t verdict; /* and above it the attester's number, see `attester` */
};
static struct slot slots[SLOTS];
static _Atomic uint64_t absent_until, looked_until;
/* The mount that was there when it was last looked at, and a number that counts such mounts. */
static _Atomic uint64_t mount_seen, attester = 1;

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

uint64_t assay_now_ns(void) { return clock_ns(CLOCK_REALTIME_COARSE); }

int assay_absent_now(void) {
  return clock_ns(CLOCK_MONOTONIC_COARSE) < atomic_load_explicit(&absent_until, memory_order_relaxed);
}

void assay_note_absent(void) {
  atomic_store_explicit(&absent_until, clock_ns(CLOCK_MONOTONIC_COARSE) + MOMENT, memory_order_relaxed);
}

/* Looks once a second whether another file system is mounted there, without a request to its server. What an
 * earlier attester recorded may not be in the list of this one. */
static uint64_t attester_now(void) {
  const uint64_t now = clock_ns(CLOCK_MONOTONIC_COARSE);
  struct statx st;
  uint64_t mount = 0;
  if (now < atomic_load_explicit(&looked_until, memory_order_acquire))
    return atomic_load_explicit(&attester, memory_order_acquire);
  if (statx(AT_FDCWD, assay_point(), AT_STATX_DONT_SYNC, STATX_MNT_ID | STATX_UNIQUE, &st) == 0)
    mount = st.stx_mnt_id * 0x9e3779b97f4a7c15ull ^ ((uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor);
  if (atomic_exchange_explicit(&mount_seen, mount, memory_order_acq_rel) != mount)
    atomic_fetch_add_explicit(&attester, 1, memory_order_acq_rel);
  atomic_store_explicit(&looked_until, now + MOMENT, memory_order_release);
  return atomic_load_explicit(&attester, memory_order_acquire);
}

void assay_state_of(const struct stat* st, struct assay_state* state) {
  state->dev = st->st_dev;
  state->ino = st->st_ino;
  state->size = (uint64_t)st->st_size;
  state->mtime = (uint64_t)st->st_mtim.tv_sec * NS + (uint64_t)st->st_mtim.tv_nsec;
  state->ctime = (uint64_t)st->st_ctim.tv_sec * NS + (uint64_t)st->st_ctim.tv_nsec;
}

static struct slot* ways_of(const struct assay_state* s) {
  uint64_t h = (s->ino ^ s->dev << 32) * 0x9e3779b97f4a7c15ull;
  h ^= h >> 32;
  return &slots[(h * WAYS) & (SLOTS - 1)];
}

#define GET(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define SET(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

int assay_cache_find(const struct assay_state* s) {
  struct slot* const ways = ways_of(s);
  const uint64_t number = attester_now();
  for (unsigned i = 0; i < WAYS; ++i) {
    struct slot* const w = &ways[i];
    const uint64_t before = atomic_load_explicit(&w->sequence, memory_order_acquire);
    if (before == 0 || (before & 1) != 0) continue;
    const int same = GET(w->ino) == s->ino && GET(w->dev) == s->dev && GET(w->size) == s->size &&
                     GET(w->mtime) == s->mtime && GET(w->ctime) == s->ctime;
    const uint64_t verdict = GET(w->verdict);
    atomic_thread_fence(memory_order_acquire);
    if (GET(w->sequence) != before || !same || verdict >> 8 != number) continue;
    return (int)(verdict & 0xff);
  }
  return -1;
}

/* A file of tmpfs is written through a mapping and keeps its times, once the page was read; and an overlay's
 * files may be on one. Only root can do that to a file of root's. */
int assay_times_prove(int fd, const struct stat* st) {
  static const struct {
    uint64_t kind;
    int of_root; /* only a file that nobody but root may write to */
  } kKinds[] = {
      {0xEF53, 0},     /* ext2, ext3, ext4 */
      {0x58465342, 0}, /* xfs */
      {0x9123683E, 0}, /* btrfs */
      {0xF2F52010, 0}, /* f2fs */
      {0x73717368, 0}, /* squashfs */
      {0xE0F5E1E2, 0}, /* erofs */
      {0x2fc12fc1, 0}, /* zfs */
      {0x01021994, 1}, /* tmpfs */
      {0x858458f6, 1}, /* ramfs */
      {0x794c7630, 1}, /* overlayfs */
  };
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return 0;
  for (size_t i = 0; i < sizeof(kKinds) / sizeof(kKinds[0]); ++i)
    if ((uint64_t)(uint32_t)fs.f_type == kKinds[i].kind) return !kKinds[i].of_root || !assay_may_change(st);
  return 0;
}

void assay_cache_keep(int fd, const struct assay_state* s, uint64_t now_ns, int verdict) {
  struct slot* const ways = ways_of(s);
  struct slot* w = NULL;
  struct stat st;
  struct assay_state after;
  if (s->ctime + RACY > now_ns || s->mtime + RACY > now_ns || fstat(fd, &st) != 0 ||
      !assay_times_prove(fd, &st))
    return;
  assay_state_of(&st, &after);
  if (after.size != s->size || after.mtime != s->mtime || after.ctime != s->ctime) return;
  for (unsigned i = 0; i < WAYS && w == NULL; ++i) /* the same file, or an empty slot */
    if (GET(ways[i].sequence) == 0 || (GET(ways[i].ino) == s->ino && GET(ways[i].dev) == s->dev))
      w = &ways[i];
  if (w == NULL) w = &ways[s->ctime / 1000 % WAYS];
  uint64_t sequence = GET(w->sequence);
  if ((sequence & 1) != 0 ||
      !atomic_compare_exchange_strong_explicit(&w->sequence, &sequence, sequence + 1, memory_order_acquire,
                                               memory_order_relaxed))
    return;
  atomic_thread_fence(memory_order_release);
  SET(w->dev, s->dev);
  SET(w->ino, s->ino);
  SET(w->size, s->size);
  SET(w->mtime, s->mtime);
  SET(w->ctime, s->ctime);
  SET(w->verdict, attester_now() << 8 | (uint64_t)verdict);
  atomic_store_explicit(&w->sequence, sequence + 2, memory_order_release);
}
