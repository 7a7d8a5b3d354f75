/* A FUSE file system with one file, for ways that run a program from there, or read from it. */
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ways.h"

static struct content the_file;
static const volatile int* the_latch;
static int the_go;

static int get_attributes(const char* path, struct stat* st, struct fuse_file_info* info) {
  (void)info;
  memset(st, 0, sizeof(*st));
  st->st_nlink = 1;
  if (strcmp(path, "/") == 0) {
    st->st_mode = S_IFDIR | 0755;
    return 0;
  }
  if (strcmp(path, "/file") != 0) return -ENOENT;
  st->st_mode = S_IFREG | 0755;
  st->st_size = (off_t)the_file.size;
  return 0;
}

static int read_file(const char* path, char* out, size_t size, off_t offset, struct fuse_file_info* info) {
  char byte;
  (void)path, (void)info;
  if ((size_t)offset >= the_file.size) return 0;
  if (the_latch && *the_latch) (void)read(the_go, &byte, 1);
  if (size > the_file.size - (size_t)offset) size = the_file.size - (size_t)offset;
  memcpy(out, the_file.bytes + offset, size);
  return (int)size;
}

/* Past the page cache: into the reader's own pages. */
static int open_file(const char* path, struct fuse_file_info* info) {
  (void)path;
  info->direct_io = the_latch != NULL;
  return 0;
}

void serve_fuse(const char* mount_point, struct content file) {
  static const struct fuse_operations operations = {
      .getattr = get_attributes, .open = open_file, .read = read_file};
  char* argv[] = {"ways", "-f", "-s", "-o", "allow_other", (char*)mount_point, NULL};
  the_file = file;
  fuse_main(6, argv, &operations, NULL);
  _exit(0);
}

void serve_fuse_late(const char* mount_point, struct content file, const volatile int* armed, int go) {
  the_latch = armed;
  the_go = go;
  serve_fuse(mount_point, file);
}
