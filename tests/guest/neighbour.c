// Another tool's BPF programs: does nothing at the kernel's hooks that are named, until it is ended.
//   neighbour HOOK...
// Prints "attached" when all are attached.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int count, char** hooks) {
  const struct bpf_insn go_on[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
                                   {.code = BPF_JMP | BPF_EXIT}};
  for (int i = 1; i < count; ++i) {
    LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_LSM_MAC);
    options.attach_btf_id = libbpf_find_vmlinux_btf_id(hooks[i], BPF_LSM_MAC);
    const int program = bpf_prog_load(BPF_PROG_TYPE_LSM, "neighbour", "GPL", go_on, 2, &options);
    const int link = program < 0 ? program : bpf_raw_tracepoint_open(NULL, program);
    if (link < 0) {
      fprintf(stderr, "%s: %s\n", hooks[i], strerror(-link));
      return 1;
    }
  }
  puts("attached");
  fflush(stdout);
  pause();
}
