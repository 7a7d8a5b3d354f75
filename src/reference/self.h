// Reference values of assay itself: of the programs that are installed beside this one.
//
//   ASSAY_ASSIGN(const std::unique_ptr<Index> self, OpenSelf("0.1.0"));
//   const std::string installed = SelfIndex();   // "/usr/share/assay/assay.idx"; empty: none is installed
//
// Contract: an installation has them as an index, which `assay reference build --self` made. Elsewhere (in a
// build folder) they are made in memory.
#pragma once

#include <memory>
#include <string>

#include "reference/further_digests.h"
#include "reference/index.h"

namespace assay::reference {

// The programs of this installation. root: a staging folder (DESTDIR), which is no part of their paths.
Result<> AddSelf(Builder& builder, const std::string& version, const std::string& root,
                 const FurtherKinds& kinds = {});
std::string SelfIndex();
Result<std::unique_ptr<Index>> OpenSelf(const std::string& version);

}  // namespace assay::reference
