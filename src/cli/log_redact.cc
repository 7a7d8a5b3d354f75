// The command `assay log redact`.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "appraise/redaction.h"
#include "cli/cmd_log.h"

namespace assay::cli {

Result<int> RedactRound(const RedactOptions& o, const Session& session) {
  ASSAY_ASSIGN(const evidence::ContainerPattern container, evidence::ContainerPattern::Parse(o.container));
  const Result<appraise::SavedRound> round = appraise::LoadRound(o.folder);
  if (!round) return Fail(round.error().In(o.folder));
  const Result<appraise::Redacted> redacted = appraise::Redact(*round, container);
  if (!redacted) return Fail(redacted.error().In(o.folder));
  ASSAY_TRY(appraise::SaveRound(redacted->round, o.out));
  if (redacted->in_groups > 0)
    fmt::print(stderr,
               "assay: {} entries of the container are withheld, because they share a group with others'\n",
               redacted->in_groups);
  if (session.json)
    session.Answer({{"written", o.out},
                    {"shown", redacted->shown},
                    {"withheld", redacted->withheld},
                    {"in_groups", redacted->in_groups}});
  else
    fmt::print("{}: {} records of the container, {} of others are withheld\n", o.out, redacted->shown,
               redacted->withheld);
  return kExitOk;
}

}  // namespace assay::cli
