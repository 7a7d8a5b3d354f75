/* hostile-fuse [--content FILE] [--hang KINDS] [--first N] [--after SECONDS] [--later] [--direct-io]
 * MOUNT_POINT
 *
 *   hostile-fuse --hang read --content /bin/true /mnt &    # says "mounted"; /mnt/anything is there, reads of
 * it hang
 *
 * Serves in the foreground what hostile_fuse.h promises; content is 1 MiB of zeros where no file is given. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostile_fuse.h"

enum { DEFAULT_SIZE = 1 << 20, MAX_SIZE = 64 << 20 };

static int usage(const char* what) {
  fprintf(stderr, "hostile-fuse: %s\n", what);
  return 64;
}

static int read_content(const char* path, struct hostile* h) {
  unsigned char* bytes = malloc(MAX_SIZE);
  FILE* file = fopen(path, "rb");
  if (!bytes || !file) return 0;
  h->bytes = bytes;
  h->size = fread(bytes, 1, MAX_SIZE, file);
  return fclose(file) == 0;
}

int main(int argc, char** argv) {
  static const struct option options[] = {{"content", required_argument, NULL, 'c'},
                                          {"hang", required_argument, NULL, 'h'},
                                          {"first", required_argument, NULL, 'f'},
                                          {"after", required_argument, NULL, 'a'},
                                          {"later", no_argument, NULL, 'l'},
                                          {"direct-io", no_argument, NULL, 'd'},
                                          {NULL, 0, NULL, 0}};
  struct hostile h = {.bytes = calloc(1, DEFAULT_SIZE), .size = DEFAULT_SIZE};
  int option = 0;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
      case 'c':
        if (!read_content(optarg, &h)) return usage("the content can't be read");
        break;
      case 'h':
        if (!(h.hang = hostile_kinds(optarg)))
          return usage("--hang: lookup, getattr, open, read, flush, release, all");
        break;
      case 'f':
        h.first = (unsigned)atoi(optarg);
        break;
      case 'a':
        h.after = (unsigned)atoi(optarg);
        break;
      case 'l':
        h.later = 1;
        break;
      case 'd':
        h.direct_io = 1;
        break;
      default:
        return 64;
    }
  }
  if (optind + 1 != argc) return usage("MOUNT_POINT");
  h.mount_point = argv[optind];
  const int device = hostile_mount(&h);
  if (device < 0) {
    perror("hostile-fuse: mount");
    return 1;
  }
  puts("mounted");
  fflush(stdout);
  return hostile_serve(&h, device);
}
