/* A sealed memfd for Node.js, which can't make one: sealed(Buffer) returns the number of a descriptor whose
 * content nobody can change any more. The attester takes only such descriptors for what has no file
 * (docs/formats/runassay.md, measure).
 *
 * The functions of Node-API are declared here because its ABI is stable since version 1 (Node.js 8), so that
 * building this needs no headers of Node.js. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "../sealed.h"

typedef struct napi_env_s* napi_env;
typedef struct napi_value_s* napi_value;
typedef struct napi_info_s* napi_info;
typedef napi_value (*napi_callback)(napi_env, napi_info);
typedef int napi_status; /* 0: done */

napi_status napi_get_cb_info(napi_env, napi_info, size_t* argc, napi_value* argv, napi_value* self,
                             void** data);
napi_status napi_is_buffer(napi_env, napi_value, bool* result);
napi_status napi_get_buffer_info(napi_env, napi_value, void** data, size_t* length);
napi_status napi_create_int32(napi_env, int32_t, napi_value* result);
napi_status napi_throw_error(napi_env, const char* code, const char* message);
napi_status napi_create_function(napi_env, const char* name, size_t length, napi_callback, void* data,
                                 napi_value* result);

static napi_value Sealed(napi_env env, napi_info info) {
  size_t argc = 1, size = 0;
  napi_value argument = NULL, result = NULL;
  void* data = NULL;
  bool is_buffer = false;
  if (napi_get_cb_info(env, info, &argc, &argument, NULL, NULL) != 0 ||
      napi_is_buffer(env, argument, &is_buffer) != 0 || !is_buffer ||
      napi_get_buffer_info(env, argument, &data, &size) != 0) {
    napi_throw_error(env, "EINVAL", "sealed() takes one Buffer");
    return NULL;
  }
  const int fd = sealed_memfd(data, size);
  if (fd < 0) {
    napi_throw_error(env, "ERR_ASSAY_MEMFD", strerror(-fd));
    return NULL;
  }
  if (napi_create_int32(env, fd, &result) != 0) {
    close(fd);
    return NULL;
  }
  return result;
}

/* Node.js looks for this name in an add-on that registers nothing. */
napi_value napi_register_module_v1(napi_env env, napi_value exports);
napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value function = NULL;
  (void)exports;
  return napi_create_function(env, "sealed", strlen("sealed"), Sealed, NULL, &function) == 0 ? function
                                                                                             : NULL;
}
