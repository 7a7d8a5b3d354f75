#include "hostile_fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FILES = 4096, MAX_NAME = 255, BUFFER = 1 << 20, FIRST_NODE = 2 };

struct reply {
  struct reply* next;
  time_t due;                    /* 0: never */
  struct fuse_out_header header; /* with what follows, one write */
  unsigned char body[];
};
struct file {
  char name[MAX_NAME + 1];
  unsigned answered; /* of the kinds that are withheld */
};
struct server {
  const struct hostile* h;
  int device, withholds;
  struct reply* held;
  struct file* files;
  unsigned count;
};

static const struct {
  const char* name;
  unsigned long long kinds;
} kKinds[] = {{"lookup", 1ULL << FUSE_LOOKUP}, {"getattr", 1ULL << FUSE_GETATTR},
              {"open", 1ULL << FUSE_OPEN},     {"read", 1ULL << FUSE_READ},
              {"flush", 1ULL << FUSE_FLUSH},   {"release", 1ULL << FUSE_RELEASE},
              {"all", ~(1ULL << FUSE_INIT)}};

unsigned long long hostile_kinds(const char* names) {
  unsigned long long kinds = 0;
  while (*names) {
    const size_t length = strcspn(names, ",");
    unsigned long long found = 0;
    for (size_t i = 0; i < sizeof(kKinds) / sizeof(*kKinds); ++i)
      if (strlen(kKinds[i].name) == length && memcmp(kKinds[i].name, names, length) == 0)
        found = kKinds[i].kinds;
    if (!found) return 0;
    kinds |= found;
    names += length + (names[length] == ',');
  }
  return kinds;
}

/* Signals that come before the server waits for them are kept. */
static void block_signals(sigset_t* set) {
  sigemptyset(set);
  sigaddset(set, SIGUSR1);
  sigaddset(set, SIGUSR2);
  sigaddset(set, SIGTERM);
  sigprocmask(SIG_BLOCK, set, NULL);
}

int hostile_mount(const struct hostile* h) {
  char options[128];
  sigset_t set;
  block_signals(&set);
  int device = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (device < 0) return -1;
  snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  if (mount("hostile", h->mount_point, "fuse", 0, options) == 0) return device;
  const int error = errno;
  close(device);
  errno = error;
  return -1;
}

static void send_reply(const struct server* s, struct reply* r) {
  /* ENOENT: the kernel does not wait for it any more. */
  if (write(s->device, &r->header, r->header.len) < 0 && errno != ENOENT) perror("hostile-fuse: write");
}

/* Those whose time has come, or all. */
static void answer_held(struct server* s, int all) {
  const time_t now = time(NULL);
  for (struct reply** at = &s->held; *at;) {
    struct reply* r = *at;
    if (!all && (r->due == 0 || now < r->due)) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    send_reply(s, r);
    free(r);
  }
}

static struct fuse_attr attributes(const struct server* s, uint64_t node) {
  struct fuse_attr a = {.ino = node, .nlink = 1, .blksize = 4096};
  a.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0755;
  a.size = node == FUSE_ROOT_ID ? 0 : s->h->size;
  a.blocks = (a.size + 511) / 512;
  return a;
}

static struct file* file_of(struct server* s, uint64_t node) {
  return node >= FIRST_NODE && node - FIRST_NODE < s->count ? &s->files[node - FIRST_NODE] : NULL;
}

/* 0: there is no place for another name. */
static uint64_t node_of(struct server* s, const char* name) {
  unsigned i = 0;
  while (i < s->count && strcmp(s->files[i].name, name) != 0) ++i;
  if (i == MAX_FILES || strlen(name) > MAX_NAME) return 0;
  if (i == s->count) strcpy(s->files[s->count++].name, name);
  return FIRST_NODE + i;
}

static struct reply* make_reply(const struct fuse_in_header* in, int error, const void* body, size_t size) {
  struct reply* r = calloc(1, sizeof(*r) + size);
  if (!r) abort();
  r->header.len = (uint32_t)(sizeof(r->header) + size);
  r->header.error = -error;
  r->header.unique = in->unique;
  if (size) memcpy(r->body, body, size);
  return r;
}

/* What an obliging server would say. Null: this request has no answer. */
static struct reply* reply_to(struct server* s, const struct fuse_in_header* in, const void* argument) {
  const struct hostile* h = s->h;
  switch (in->opcode) {
    case FUSE_INIT: {
      const struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 4096};
      return make_reply(in, 0, &out, sizeof(out));
    }
    case FUSE_LOOKUP: {
      const uint64_t node = node_of(s, argument);
      const struct fuse_entry_out out = {.nodeid = node, .attr = attributes(s, node)};
      return make_reply(in, node ? 0 : ENOENT, &out, node ? sizeof(out) : 0);
    }
    case FUSE_GETATTR: {
      const struct fuse_attr_out out = {.attr = attributes(s, in->nodeid)};
      return make_reply(in, 0, &out, sizeof(out));
    }
    case FUSE_OPEN: {
      const unsigned flush = (h->hang & 1ULL << FUSE_FLUSH) ? 0 : FOPEN_NOFLUSH;
      const struct fuse_open_out out = {.open_flags = flush | (h->direct_io ? FOPEN_DIRECT_IO : 0)};
      return make_reply(in, 0, &out, sizeof(out));
    }
    case FUSE_READ: {
      const struct fuse_read_in* read = argument;
      if (read->offset >= h->size) return make_reply(in, 0, NULL, 0);
      const size_t left = h->size - read->offset;
      return make_reply(in, 0, h->bytes + read->offset, read->size < left ? read->size : left);
    }
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_DESTROY:
      return make_reply(in, 0, NULL, 0);
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return NULL;
    default:
      return make_reply(in, ENOSYS, NULL, 0);
  }
}

static int is_withheld(struct server* s, const struct fuse_in_header* in) {
  if (!s->withholds || in->opcode >= 64 || !(s->h->hang & 1ULL << in->opcode)) return 0;
  struct file* file = file_of(s, in->nodeid);
  return !file || file->answered++ >= s->h->first;
}

static void handle(struct server* s, const unsigned char* request) {
  const struct fuse_in_header* in = (const struct fuse_in_header*)request;
  struct reply* r = reply_to(s, in, request + sizeof(*in));
  if (!r) return;
  if (!is_withheld(s, in)) {
    send_reply(s, r);
    free(r);
    return;
  }
  r->due = s->h->after ? time(NULL) + (time_t)s->h->after : 0;
  r->next = s->held;
  s->held = r;
}

int hostile_serve(const struct hostile* h, int device) {
  struct server s = {.h = h, .device = device, .withholds = !h->later};
  unsigned char* buffer = malloc(BUFFER);
  sigset_t set;
  block_signals(&set);
  const int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  s.files = calloc(MAX_FILES, sizeof(*s.files));
  if (!buffer || !s.files || signals < 0) return 1;
  while (1) {
    struct pollfd wait[] = {{.fd = device, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    if (poll(wait, 2, h->after ? 100 : -1) < 0 && errno != EINTR) return 1;
    const ssize_t n = read(device, buffer, BUFFER);
    const int gone = n < 0 && errno == ENODEV;
    /* After the request: what came before it rules it. */
    struct signalfd_siginfo signal;
    while (read(signals, &signal, sizeof(signal)) == sizeof(signal)) {
      if (signal.ssi_signo == SIGTERM) {
        umount2(h->mount_point, MNT_DETACH);
        return 0;
      }
      s.withholds = signal.ssi_signo == SIGUSR2;
    }
    if (n >= (ssize_t)sizeof(struct fuse_in_header)) handle(&s, buffer);
    answer_held(&s, !s.withholds);
    if (gone) return 0; /* unmounted, or its connection was ended */
  }
}
