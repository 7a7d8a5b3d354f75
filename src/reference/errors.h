// The reference room's errors. docs/errors.md says what each means.
#pragma once

#include "base/error_code.h"

namespace assay::reference {

enum class ReferenceError { kSignature, kPython, kFetch, kMark, kRelease };
inline constexpr ErrorRow kReferenceErrors[] = {
    {ReferenceError::kSignature, "manifest.signature",
     "Sign the index anew with this key (`assay reference sign`), or use the key that signed it."},
    {ReferenceError::kPython, "reference.python", "Build the index again while no upgrade of Python runs."},
    {ReferenceError::kFetch, "reference.fetch",
     "Look at the packages that the message names; `apt-get update`, then try again."},
    {ReferenceError::kMark, "reference.mark",
     "Name a package and a version that the index holds (`assay reference show`), or leave the mark out."},
    {ReferenceError::kRelease, "reference.release",
     "Name the release that the packages are of (`--release`): bookworm, Debian:12, Ubuntu:24.04."},
};
constexpr std::span<const ErrorRow> ErrorTable(ReferenceError) { return kReferenceErrors; }

}  // namespace assay::reference
