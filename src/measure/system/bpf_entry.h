// The name of a BPF program's entry in the list, with the program that loaded it.
//
//   // given: const Digest& loader
//   const std::string name = BpfEntryName("sd_devices", loader);   // "bpf-prog:sd_devices@sha256:94e6..."
//   const std::optional<Digest> of = BpfLoader(name);              // loader
//
// Contract: the name of the BPF program is its loader's choice and proves nothing; the kernel allows letters,
// digits, '_' and '.' in it, so no '@'. The digest is the attester's. docs/formats/list.md
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/digest.h"

namespace assay::measure {

std::string BpfEntryName(std::string_view program, const std::optional<Digest>& loader);
// No value if it is not a BPF program's name, or a name without a loader.
std::optional<Digest> BpfLoader(std::string_view name);

}  // namespace assay::measure
