// assay-cap: extends the cap (list/cap.h) into PCRs of this machine's TPM. man/assay-cap.8
//
//   assay-cap [--tpm DEVICE] [PCR...]      without PCRs: the list's usual one and ASSAY_CAP_PCR
//
// The program caps a boot whose attester did not start, whatever the reason, so it must not depend on
// anything that the attester depends on. It loads no library but libc, reads no file, and uses no key of the
// TPM and no authorisation but that of a PCR, which is empty. TPM2_PCR_Event makes the TPM itself calculate
// the hash for each of its banks.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "list/cap_text.h"

// TPM 2.0 Library, part 2: TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_RETRY.
enum { kYielded = 0x908, kTesting = 0x90A, kRetry = 0x922, kTries = 100 };

struct Command {
  uint8_t bytes[1024];
  size_t size;
};

static void Put(struct Command* c, const void* bytes, size_t n) {
  memcpy(c->bytes + c->size, bytes, n);
  c->size += n;
}

static void Big(struct Command* c, uint32_t value, int width) {
  for (int shift = (width - 1) * 8; shift >= 0; shift -= 8) c->bytes[c->size++] = (uint8_t)(value >> shift);
}

// A field of a template: its length (little-endian, docs/formats/list.md), then its bytes.
static void Field(struct Command* c, const void* prefix, size_t m, const void* bytes, size_t n) {
  const uint32_t size = (uint32_t)(m + n);
  const uint8_t length[] = {(uint8_t)size, (uint8_t)(size >> 8), 0, 0};
  Put(c, length, sizeof(length));
  Put(c, prefix, m);
  Put(c, bytes, n);
}

static void PcrEvent(struct Command* c, uint32_t pcr) {
  static const uint8_t digest[] = {ASSAY_CAP_DIGEST};
  c->size = 0;
  Big(c, 0x8002, 2);      // TPM_ST_SESSIONS
  Big(c, 0, 4);           // the size, below
  Big(c, 0x0000013C, 4);  // TPM_CC_PCR_Event
  Big(c, pcr, 4);
  Big(c, 9, 4);  // the size of one session: an empty password
  Big(c, 0x40000009, 4);
  Big(c, 0, 2);
  Big(c, 0, 1);
  Big(c, 0, 2);
  const size_t at = c->size;
  Big(c, 0, 2);  // the event's size, below
  Field(c, "sha256:", sizeof("sha256:"), digest, sizeof(digest));
  Field(c, ASSAY_CAP_NAME, sizeof(ASSAY_CAP_NAME), "", 0);
  Field(c, ASSAY_CAP_TEXT, sizeof(ASSAY_CAP_TEXT) - 1, "", 0);
  const size_t event = c->size - at - 2, whole = c->size;
  c->bytes[at] = (uint8_t)(event >> 8);
  c->bytes[at + 1] = (uint8_t)event;
  c->bytes[4] = (uint8_t)(whole >> 8);
  c->bytes[5] = (uint8_t)whole;
}

// Opens the TPM: a device, or the socket of a software TPM.
static int OpenTpm(const char* path) {
  struct stat info;
  if (stat(path, &info) != 0) return -1;
  if (!S_ISSOCK(info.st_mode)) return open(path, O_RDWR | O_CLOEXEC);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) return -1;
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (const struct sockaddr*)&address, sizeof(address)) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static void Wait(void) {
  const struct timespec pause = {.tv_sec = 0, .tv_nsec = 50 * 1000 * 1000};
  nanosleep(&pause, NULL);
}

static int Cap(int tpm, uint32_t pcr) {
  struct Command c;
  PcrEvent(&c, pcr);
  for (int i = 0; i < kTries; ++i) {
    uint8_t answer[4096];
    if (write(tpm, c.bytes, c.size) != (ssize_t)c.size) {
      fprintf(stderr, "assay-cap: PCR %u: %s\n", pcr, strerror(errno));
      return 1;
    }
    const ssize_t n = read(tpm, answer, sizeof(answer));
    if (n < 10) {
      fprintf(stderr, "assay-cap: PCR %u: no answer\n", pcr);
      return 1;
    }
    const uint32_t rc = (uint32_t)answer[6] << 24 | (uint32_t)answer[7] << 16 | (uint32_t)answer[8] << 8 |
                        (uint32_t)answer[9];
    if (rc == 0) return 0;
    if (rc != kYielded && rc != kTesting && rc != kRetry) {
      fprintf(stderr, "assay-cap: PCR %u: the TPM answers %#x\n", pcr, rc);
      return 1;
    }
    Wait();
  }
  fprintf(stderr, "assay-cap: PCR %u: the TPM stays busy\n", pcr);
  return 1;
}

int main(int argc, char** argv) {
  static const char* const devices[] = {"/dev/tpmrm0", "/dev/tpm0"};
  const char* named = NULL;
  int next = 1;
  if (next + 1 < argc && strcmp(argv[next], "--tpm") == 0) {
    named = argv[next + 1];
    next += 2;
  }
  int tpm = -1;
  // The device may be busy for a moment, or may not exist yet.
  for (int i = 0; i < kTries && tpm < 0; ++i) {
    if (i > 0) Wait();
    for (size_t d = 0; d < (named != NULL ? 1 : 2) && tpm < 0; ++d)
      tpm = OpenTpm(named != NULL ? named : devices[d]);
  }
  if (tpm < 0) {
    fprintf(stderr, "assay-cap: no TPM: %s\n", strerror(errno));
    return 1;
  }
  int failed = 0;
  if (next >= argc) return Cap(tpm, 10) | Cap(tpm, ASSAY_CAP_PCR);
  for (; next < argc; ++next) {
    char* end = NULL;
    const unsigned long pcr = strtoul(argv[next], &end, 10);
    if (*argv[next] == '\0' || *end != '\0' || pcr > 23) {
      fprintf(stderr, "assay-cap: not a PCR: %s\n", argv[next]);
      failed = 1;
      continue;
    }
    failed |= Cap(tpm, (uint32_t)pcr);
  }
  return failed;
}
