// What a verifier may allow to single programs: violations that ordinary use of them causes, and BPF programs
// that they make themselves.
//
//   for (const std::string_view kind : AllowableKinds()) log::Info("{}", kind);   // "mprotect", ...
//
// Contract: a kind's place is its bit in an index of reference values (docs/formats/index.md), so new ones
// come last.
#pragma once

#include <span>
#include <string_view>

namespace assay::measure {

inline constexpr std::string_view kBpfProgramKind = "bpf_program";

std::span<const std::string_view> AllowableKinds();

}  // namespace assay::measure
