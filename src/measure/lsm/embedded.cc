#include "measure/lsm/embedded.h"

// The paths are the build's: ASSAY_LSM_OBJECT and ASSAY_GATE_PROGRAM.
#define EMBED(name, path)                                                                              \
  asm(".section .rodata\n.balign 16\n"                                                                 \
      ".global " #name "_begin\n" #name "_begin:\n.incbin \"" path "\"\n.global " #name "_end\n" #name \
      "_end:\n.byte 0\n.previous\n")

EMBED(assay_lsm_object, ASSAY_LSM_OBJECT);
EMBED(assay_gate_program, ASSAY_GATE_PROGRAM);

extern "C" {
extern const unsigned char assay_lsm_object_begin[], assay_lsm_object_end[];
extern const unsigned char assay_gate_program_begin[], assay_gate_program_end[];
}

namespace assay::measure {

ByteView EmbeddedLsmObject() { return {assay_lsm_object_begin, assay_lsm_object_end}; }
ByteView EmbeddedGateProgram() { return {assay_gate_program_begin, assay_gate_program_end}; }

}  // namespace assay::measure
