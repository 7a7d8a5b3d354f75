// Internal, for tests and benchmarks: a verifier and its hosts through a year of updates, by a seed.
//
//   // given: const std::string& empty_folder
//   UpdateYear year({.seed = 1, .days = 365, .hosts = 100, .packages = 20, .folder = empty_folder});
//   ASSAY_ASSIGN(const UpdateYear::Outcome outcome, year.Run());
//   log::Info("{} of {} found, {} false", outcome.found, outcome.planted, outcome.false_alarms);
//
// Contract: each day some packages get a new version; the verifier learns of it some days later, and each
// host upgrades some days later, so that hosts or the verifier come first. In the middle of an upgrade a host
// runs files of both versions. Hosts reboot. Now and then a host runs a file of an older version again, or
// one that was altered by a byte; a round in the same day has to find it, and nothing else. Content that the
// verifier does not know yet is 'changed' until it does; that is counted as `early`, and has to be gone once
// the verifier knows it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "appraise/synthetic.h"
#include "base/clock.h"
#include "base/fd.h"
#include "reference/index.h"

namespace assay::reference {

class UpdateYear {
 public:
  struct Options {
    std::uint64_t seed = 1;
    unsigned days = 365, hosts = 100, packages = 20;
    std::string folder;  // an empty one
  };
  struct Outcome {
    std::uint64_t rounds = 0, upgrades = 0, reboots = 0, versions = 0;
    std::uint64_t hosts_first = 0;  // upgrades before the verifier knew the version
    std::uint64_t early = 0;        // rounds in which content was not known yet
    std::uint64_t planted = 0, found = 0, false_alarms = 0;
    std::string first_false_alarm, first_missed;
  };

  explicit UpdateYear(Options options) : o_(std::move(options)), random_(o_.seed) {
    policy_.allow_first_use = true;
    packages_.resize(o_.packages);
    hosts_.resize(o_.hosts);
    for (std::size_t h = 0; h < hosts_.size(); ++h) hosts_[h].runs.assign(o_.packages, Has{});
  }

  Result<Outcome> Run() {
    ASSAY_TRY(Learn(0));
    for (Host& h : hosts_) Boot(h);
    for (unsigned day = 1; day <= o_.days; ++day) {
      Release(day);
      ASSAY_TRY(Learn(day));
      for (std::size_t h = 0; h < hosts_.size(); ++h) Day(h, day);
    }
    return out_;
  }

 private:
  static constexpr unsigned kFiles = 3;  // of each package
  struct Package {
    unsigned version = 1;                   // in the archive
    unsigned known = 0;                     // by the verifier
    unsigned last_day = 0;                  // on which it learns of one
    std::map<unsigned, unsigned> to_learn;  // day -> version
  };
  struct Has {
    unsigned version = 1, to = 1, files_done = kFiles;  // files_done of the upgrade to `to` are in place
    unsigned upgrade_on = 0;                            // the day; 0: none is planned
  };
  struct Host {
    std::unique_ptr<appraise::SyntheticHost> host;
    appraise::HostState state;
    std::vector<Has> runs;
    std::set<std::pair<std::string, std::string>> planted;  // path, finding: of this boot
  };

  unsigned Below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  // Debian's versions, in an order that is not that of the text.
  static std::string Version(unsigned v) { return fmt::format("1.{}-1", v); }
  static std::string Path(std::size_t package, unsigned file) {
    return fmt::format("/usr/bin/p{}.{}", package, file);
  }
  // The last file of a package seldom changes, so that one content is of several versions.
  static std::string Content(std::size_t package, unsigned file, unsigned version) {
    return fmt::format("{} of version {}", Path(package, file), file == kFiles - 1 ? version / 3 : version);
  }

  void Release(unsigned day) {
    for (Package& p : packages_) {
      if (Below(30) != 0) continue;
      ++p.version;
      ++out_.versions;
      p.last_day = std::max(day + Below(4), p.last_day + 1);
      p.to_learn[p.last_day] = p.version;
    }
  }

  // The verifier adds what it learns of today to its index.
  Result<> Learn(unsigned day) {
    Builder builder;
    bool news = false;
    for (std::size_t i = 0; i < packages_.size(); ++i) {
      Package& p = packages_[i];
      unsigned version = day == 0 ? 1 : 0;
      if (const auto today = p.to_learn.find(day); today != p.to_learn.end()) version = today->second;
      if (version <= p.known) continue;
      p.known = version;
      news = true;
      for (unsigned f = 0; f < kFiles; ++f)
        ASSAY_TRY(AddContent(builder, Content(i, f, version), Path(i, f), i, version));
    }
    if (!news) return {};
    if (index_ == nullptr) ASSAY_TRY(AddContent(builder, "assayd", "/usr/sbin/assayd", 9999, 1));
    if (index_ != nullptr) builder.AddFormer(*index_, Builder::Former::kOfAdded, day * kDayMs, o_.days);
    ASSAY_ASSIGN(Bytes bytes, builder.Encode());
    ASSAY_ASSIGN(index_, Index::OfBytes(std::move(bytes)));
    return {};
  }

  Result<> AddContent(Builder& builder, const std::string& content, const std::string& path,
                      std::size_t package, unsigned version) {
    const std::string file = o_.folder + "/content";
    ASSAY_TRY(WriteFileAtomic(file, AsBytes(content), 0600));
    return builder.AddFile(file, path, fmt::format("p{}", package), Version(version));
  }

  // All files that the host has are run when it boots.
  void Boot(Host& h) {
    const auto key = h.host == nullptr ? nullptr : h.host->key;
    const tpm::ClockInfo clock =
        h.host == nullptr ? tpm::ClockInfo{.clock = 1000, .reset_count = 1, .restart_count = 0, .safe = true}
                          : h.host->clock;
    const std::string boot_id = h.host == nullptr ? "b" : h.host->boot_id + "+";
    const bool first = h.host == nullptr;
    h.host = std::make_unique<appraise::SyntheticHost>();
    if (!first) {
      h.host->key = key;
      h.host->clock = clock;
      ++h.host->clock.reset_count;
      h.host->clock.clock += 60'000;
      h.host->boot_id = boot_id;
      ++out_.reboots;
    }
    h.planted.clear();
    for (std::size_t i = 0; i < packages_.size(); ++i)
      for (unsigned f = 0; f < kFiles; ++f) Load(h, i, f);
  }

  void Load(Host& h, std::size_t package, unsigned file) {
    const Has& has = h.runs[package];
    const unsigned version = file < has.files_done ? has.to : has.version;
    h.host->File(Content(package, file, version), Path(package, file));
  }

  void Upgrade(Host& h, unsigned day) {
    for (std::size_t i = 0; i < packages_.size(); ++i) {
      Has& has = h.runs[i];
      if (has.files_done < kFiles) {  // yesterday it was in the middle of the upgrade
        has.files_done = kFiles;
        has.version = has.to;
        for (unsigned f = 0; f < kFiles; ++f) Load(h, i, f);
        continue;
      }
      if (has.upgrade_on == 0 && packages_[i].version > has.version) has.upgrade_on = day + Below(5);
      if (has.upgrade_on == 0 || has.upgrade_on > day) continue;
      has.upgrade_on = 0;
      has.to = packages_[i].version;
      has.files_done = 1 + Below(kFiles);
      ++out_.upgrades;
      if (packages_[i].known < has.to) ++out_.hosts_first;
      for (unsigned f = 0; f < kFiles; ++f) Load(h, i, f);
      if (has.files_done == kFiles) has.version = has.to;
    }
  }

  // A file of an older version, or one that differs in a byte.
  void Plant(Host& h) {
    const std::size_t i = Below(o_.packages);
    const Has& has = h.runs[i];
    const bool back = Below(2) == 0;
    const unsigned file = Below(kFiles - 1);
    if (has.files_done < kFiles || (back && (has.version < 2 || packages_[i].known < has.version))) return;
    if (packages_[i].known < has.version) return;  // what is not known can't be told from an altered file
    if (back && !Knows(Content(i, file, has.version - 1))) return;
    const std::string content = Content(i, file, back ? has.version - 1 : has.version);
    h.host->File(back ? content : content + "!", Path(i, file));
    if (h.planted.emplace(Path(i, file), back ? "entry.rollback" : "entry.changed").second)
      ++out_.planted;
    else
      return;
    pending_.emplace(Path(i, file), back ? "entry.rollback" : "entry.changed");
  }
  bool Knows(const std::string& content) const { return !index_->Find(appraise::DigestOf(content)).empty(); }

  void Day(std::size_t number, unsigned day) {
    Host& h = hosts_[number];
    pending_.clear();
    if (Below(40) == 0) Boot(h);
    Upgrade(h, day);
    Round(h, number, day);  // so that the verifier has seen what is in place
    if (Below(20) == 0) Plant(h);
    Round(h, number, day);
  }

  appraise::Appraisal Ask(Host& h, std::uint64_t first, unsigned day) {
    const evidence::Nonce nonce = evidence::Nonce::Filled(7);
    const evidence::Evidence evidence = h.host->Quote(nonce, first);
    appraise::Request request = h.host->Ask(evidence, nonce, first);
    request.now_ms = day * kDayMs;
    request.entries = false;
    ++out_.rounds;
    return Appraise(request, h.state, *index_, policy_);
  }

  // As `assay attest` does: what is new, and all where that is not enough.
  void Round(Host& h, std::size_t number, unsigned day) {
    const bool rebooted = h.host->clock.reset_count != h.state.reset_count;
    appraise::Appraisal a = Ask(h, rebooted ? 0 : h.state.records, day);
    for (const appraise::Finding& f : a.findings) {
      if (f.name != appraise::FindingName::kListJudgedOtherwise) continue;
      h.state = a.host;
      a = Ask(h, 0, day);
      break;
    }
    h.state = a.host;
    bool early = false;
    for (const appraise::Finding& f : a.findings) {
      if (f.weight == appraise::Verdict::kTrusted) continue;
      const std::pair<std::string, std::string> what{f.path, std::string(NameText(f.name))};
      if (pending_.erase(what) != 0) ++out_.found;
      if (h.planted.contains(what)) continue;
      if (f.name == appraise::FindingName::kEntryChanged && IsToCome(f.digest)) {
        early = true;
        continue;
      }
      if (out_.false_alarms++ == 0)
        out_.first_false_alarm =
            fmt::format("day {}, host {}: {}: {}", day, number, NameText(f.name), f.text);
    }
    if (early) ++out_.early;
    if (!pending_.empty() && out_.first_missed.empty())
      out_.first_missed = fmt::format("day {}, host {}: {} of {}", day, number, pending_.begin()->second,
                                      pending_.begin()->first);
  }

  // Whether the digest is of a version that the archive has and the verifier does not know yet.
  bool IsToCome(const std::string& digest) const {
    for (std::size_t i = 0; i < packages_.size(); ++i)
      for (unsigned v = packages_[i].known + 1; v <= packages_[i].version; ++v)
        for (unsigned f = 0; f < kFiles; ++f)
          if (appraise::DigestOf(Content(i, f, v)).ToString() == digest) return true;
    return false;
  }

  const Options o_;
  std::mt19937_64 random_;
  appraise::Policy policy_;
  std::vector<Package> packages_;
  std::vector<Host> hosts_;
  std::set<std::pair<std::string, std::string>> pending_;  // planted today and not found yet
  std::unique_ptr<Index> index_;
  Outcome out_;
};

}  // namespace assay::reference
