// A saved round for the tenant of one container: others' records are withheld, and still replay.
//
//   // given: const SavedRound& round, const evidence::ContainerPattern& container
//   ASSAY_ASSIGN(const Redacted redacted, Redact(round, container));
//   ASSAY_TRY(SaveRound(redacted.round, "for-the-tenant"));
//
// Contract: docs/formats/redacted.md. What is shown: boot_aggregate, the attester's own records and its
// components, records that name the container's control group, and violations in the container. Of each other
// record only its template hash is left. The quote, the claims and the run's signature stay as they are; of
// the context, which they cover as a whole, only its digest. Who redacts is trusted not to withhold a record
// of the container: nothing proves that. Pure.
#pragma once

#include "appraise/saved_round.h"
#include "evidence/container.h"
#include "list/list.h"

namespace assay::appraise {

// The template name of a withheld record, which has no data; its column is the template hash.
inline constexpr std::string_view kWithheldName = "assay-withheld";
inline bool IsWithheld(const ima::RecordView& record) {
  return record.template_name == kWithheldName && record.data.empty();
}

struct Redacted {
  SavedRound round;
  std::uint64_t shown = 0;     // records that name the container's control group
  std::uint64_t withheld = 0;  // records of others
  // Entries of the container in groups that also have entries of others, and so are withheld.
  std::uint64_t in_groups = 0;
};
Result<Redacted> Redact(const SavedRound& round, const evidence::ContainerPattern& container);

}  // namespace assay::appraise
