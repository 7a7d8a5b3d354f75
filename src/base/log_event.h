// Messages that programs read as well: the name of what happened, and fields, beside the sentence for people.
//
//   // given: const std::string& path, const std::string& digest
//   log::WriteEvent(log::Level::kWarn, "refused", {{"path", path}, {"digest", digest}},
//                   fmt::format("refused {}: {} is not in the manifest", path, digest));
//
// Contract: docs/formats/log.md lists the events and their fields. As text only the sentence is written; a
// line of JSON has the members `event` and the fields. If messages go to the journal or the kernel's log, an
// event goes to journald's own socket with the fields ASSAY_EVENT and ASSAY_*; if that socket does not take
// it, the sentence goes the way of other messages. As with Write(), the caller never waits once there is a
// writer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"

namespace assay::log {

struct Field {
  std::string_view name;  // small letters and '_', at most 40 of them
  std::string value;      // any bytes
};
void WriteEvent(Level level, std::string_view event, const std::vector<Field>& fields,
                std::string_view message);

// A datagram for journald. Source: "Native Journal Protocol" of systemd.
std::string JournalDatagram(Level level, std::string_view event, const std::vector<Field>& fields,
                            std::string_view message);

}  // namespace assay::log
