// Internal: what the commands of `assay reference` share.
//
//   // given: const FeedArguments& feeds, reference::Builder& builder, nlohmann::json& report
//   ASSAY_ASSIGN(const bool whole, UseFeeds(feeds, builder, report));
//
// Contract: man/assay-reference.1. What is said for people goes to stderr, and what a script needs to
// `report`.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "reference/index.h"

namespace assay::cli {

struct FeedArguments {
  std::vector<std::string> advisories;  // files and folders
  std::vector<std::string> deny;        // deny lists
  std::string release;
  bool unfixed = false, changelogs = false;
};
void AddFeedOptions(Command command, FeedArguments& feeds);
// Gives the builder what the feeds say. False: some file of a feed could not be read; it is named.
Result<bool> UseFeeds(const FeedArguments& feeds, reference::Builder& builder, nlohmann::json& report);

// The time that an index notes: now, or that of SOURCE_DATE_EPOCH, so that a build can be repeated.
Result<std::uint64_t> BuildTimeMs();
// Signs a new index; without a key it says that the signature of the former one no longer fits.
Result<> SignNew(const std::string& index, const std::string& key);

// `assay reference advise`, `assay reference diff`, `assay reference export`
void AddAdvise(Command reference, Session& session);
void AddDiff(Command reference, Session& session);
void AddExport(Command reference, Session& session);

}  // namespace assay::cli
