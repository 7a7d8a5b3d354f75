/* The native part of the agent. Java can't make a sealed memfd, tell a descriptor's number, or write to a
 * file without creating it where it is not; the last two could be had with much more code at each start. */
#include <errno.h>
#include <fcntl.h>
#include <jni.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../sealed.h"

#define NATIVE(type, name) JNIEXPORT type JNICALL Java_assay_Attester_##name

NATIVE(jint, ask)(JNIEnv* env, jclass class, jstring request);
NATIVE(jint, number)(JNIEnv* env, jclass class, jobject descriptor);
NATIVE(jint, memfd)(JNIEnv* env, jclass class, jbyteArray bytes);
NATIVE(void, close)(JNIEnv* env, jclass class, jint fd);
NATIVE(jlongArray, stamp)(JNIEnv* env, jclass class, jint fd);
NATIVE(jobjectArray, options)(JNIEnv* env, jclass class);

#define REFUSED (-1) /* Attester.REFUSED */

/* 0, the errno, or that the owner's policy refuses it. */
static int ask(const char* request) {
  static const char refused[] = "refused\n";
  char verdict[16];
  struct statfs fs;
  ssize_t written, got = 0;
  int error = 0, reads = 1;
  int node = open("/run/assay/measure", O_RDWR | O_CLOEXEC);
  if (node < 0 && errno == EACCES) { /* an attester before verdicts */
    reads = 0;
    node = open("/run/assay/measure", O_WRONLY | O_CLOEXEC);
  }
  if (node < 0) return errno;
  /* An ordinary file of that name would take any request and measure nothing. */
  if (fstatfs(node, &fs) != 0 || fs.f_type != FUSE_SUPER_MAGIC) {
    close(node);
    return ENODEV;
  }
  do {
    written = write(node, request, strlen(request));
  } while (written < 0 && errno == EINTR);
  if (written != (ssize_t)strlen(request)) error = written < 0 ? errno : EIO;
  if (error == 0 && reads) {
    do {
      got = read(node, verdict, sizeof(verdict));
    } while (got < 0 && errno == EINTR);
    if (got < 0)
      error = errno;
    else if (got == sizeof(refused) - 1 && memcmp(verdict, refused, (size_t)got) == 0)
      error = REFUSED;
  }
  close(node);
  return error;
}

NATIVE(jint, ask)(JNIEnv* env, jclass class, jstring request) {
  (void)class;
  const char* const text = (*env)->GetStringUTFChars(env, request, NULL);
  if (text == NULL) return ENOMEM;
  const int error = ask(text);
  (*env)->ReleaseStringUTFChars(env, request, text);
  return error;
}

NATIVE(jint, number)(JNIEnv* env, jclass class, jobject descriptor) {
  (void)class;
  jfieldID field = (*env)->GetFieldID(env, (*env)->GetObjectClass(env, descriptor), "fd", "I");
  return field == NULL ? -1 : (*env)->GetIntField(env, descriptor, field);
}

/* A descriptor, or a negative errno. */
NATIVE(jint, memfd)(JNIEnv* env, jclass class, jbyteArray bytes) {
  (void)class;
  const jsize size = (*env)->GetArrayLength(env, bytes);
  jbyte* const data = (*env)->GetByteArrayElements(env, bytes, NULL);
  if (data == NULL) return -ENOMEM;
  const int fd = sealed_memfd(data, (size_t)size);
  (*env)->ReleaseByteArrayElements(env, bytes, data, JNI_ABORT);
  return fd;
}

NATIVE(void, close)(JNIEnv* env, jclass class, jint fd) {
  (void)env;
  (void)class;
  close(fd);
}

/* Device, inode, size, and the times of the last changes of inode and content in nanoseconds. NULL: the
 * number is not open. */
NATIVE(jlongArray, stamp)(JNIEnv* env, jclass class, jint fd) {
  struct stat st;
  (void)class;
  if (fstat(fd, &st) != 0) return NULL;
  const jlong values[] = {(jlong)st.st_dev, (jlong)st.st_ino, st.st_size,
                          st.st_ctim.tv_sec * 1000000000L + st.st_ctim.tv_nsec,
                          st.st_mtim.tv_sec * 1000000000L + st.st_mtim.tv_nsec};
  const jsize count = sizeof(values) / sizeof(values[0]);
  jlongArray array = (*env)->NewLongArray(env, count);
  if (array != NULL) (*env)->SetLongArrayRegion(env, array, 0, count, values);
  return array;
}

/* The options of the VM, wherever they were given: on the command line, in the environment, in files of
 * arguments. */
NATIVE(jobjectArray, options)(JNIEnv* env, jclass class) {
  (void)class;
  jclass vm = (*env)->FindClass(env, "jdk/internal/misc/VM");
  if (vm == NULL) return NULL;
  jmethodID method = (*env)->GetStaticMethodID(env, vm, "getRuntimeArguments", "()[Ljava/lang/String;");
  return method == NULL ? NULL : (jobjectArray)(*env)->CallStaticObjectMethod(env, vm, method);
}
