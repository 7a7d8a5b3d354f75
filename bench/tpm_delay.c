// Makes a software TPM as slow as a chip: preloaded into swtpm, it waits before each extend.
//   LD_PRELOAD=libtpm_delay.so ASSAY_TPM_DELAY_US=6000 swtpm ...
// swtpm hands each command to libtpms through TPMLIB_Process, so that is where we stand in between. A chip
// takes 5 to 20 ms for TPM2_PCR_Extend; TPM2_PCR_Event and the sequence commands that extend are slowed in
// the same way.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef uint32_t (*Process)(unsigned char** response, uint32_t* response_size, uint32_t* response_total,
                            unsigned char* command, uint32_t command_size);

static struct timespec delay;
static Process next;

__attribute__((constructor)) static void Read(void) {
  const char* text = getenv("ASSAY_TPM_DELAY_US");
  long us = text != NULL ? strtol(text, NULL, 10) : 0;
  if (us < 0) us = 0;
  delay.tv_sec = us / 1000000;
  delay.tv_nsec = us % 1000000 * 1000;
  next = (Process)dlsym(RTLD_NEXT, "TPMLIB_Process");
}

static int Extends(const unsigned char* command, uint32_t size) {
  if (size < 10) return 0;
  uint32_t code = (uint32_t)command[6] << 24 | command[7] << 16 | command[8] << 8 | command[9];
  return code == 0x00000182 /* PCR_Extend */ || code == 0x0000013C /* PCR_Event */ ||
         code == 0x00000185 /* EventSequenceComplete */;
}

uint32_t TPMLIB_Process(unsigned char** response, uint32_t* response_size, uint32_t* response_total,
                        unsigned char* command, uint32_t command_size) {
  if (next == NULL) abort();  // preloaded into something that is not swtpm
  if (Extends(command, command_size)) {
    struct timespec left = delay;
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
  }
  return next(response, response_size, response_total, command, command_size);
}
