// Internal: the commands about the service on this machine, as app.cc adds them.
//
//   // given: Command app, Session& session
//   AddConfig(app, session);
//
// Contract: commands.h.
#pragma once

#include "cli/commands.h"

namespace assay::cli {

void AddConfig(Command app, Session& session);         // config check
void AddSupportBundle(Command app, Session& session);  // support-bundle

}  // namespace assay::cli
