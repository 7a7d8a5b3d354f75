// Internal: the two files that are built with the attester and carried inside it, so that measuring the
// attester measures them.
//
//   const ByteView elf = EmbeddedLsmObject();
//   log::Info("{} bytes", elf.size());
//
// Contract: the bytes are there for the program's whole life.
#pragma once

#include "base/bytes.h"

namespace assay::measure {

ByteView EmbeddedLsmObject();    // lsm.bpf.o
ByteView EmbeddedGateProgram();  // gate_process, linked statically

}  // namespace assay::measure
