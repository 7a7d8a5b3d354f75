// Internal: the commands about many hosts at once, as app.cc adds them.
//
//   // given: Command app, Session& session
//   AddWhoRan(app, session);
//
// Contract: commands.h.
#pragma once

#include "cli/commands.h"

namespace assay::cli {

void AddWhoRan(Command app, Session& session);  // who-ran add|find|verify

}  // namespace assay::cli
