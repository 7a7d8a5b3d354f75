// For bench/replay.sh: makes a list, and replays one.
//   bench_replay make FILE RECORDS        ima-ng records with SHA-1 columns, the format that evmctl reads
//   bench_replay run FILE BANK...         prints each bank's name and PCR value
#include <fmt/format.h>

#include <cstdlib>
#include <string_view>

#include "base/fd.h"
#include "base/mapped.h"
#include "list/list.h"

namespace assay {
namespace {

Result<> Make(const char* path, std::uint64_t records) {
  Bytes list;
  for (std::uint64_t i = 0; i < records; ++i) {
    const std::string name = fmt::format("/usr/lib/x86_64-linux-gnu/lib{:07}.so", i);
    const Bytes data = ima::EncodeNg(Hash(HashAlg::kSha256, AsBytes(name)), name);
    const Bytes record =
        ima::EncodeRecord(ima::kPcr, ima::TemplateDigest(HashAlg::kSha1, "ima-ng", data), "ima-ng", data);
    list.insert(list.end(), record.begin(), record.end());
  }
  return WriteFileAtomic(path, list);
}

Result<> Run(const char* path, const std::vector<HashAlg>& banks) {
  ASSAY_ASSIGN(const MappedFile file, MappedFile::Open(path));
  ASSAY_ASSIGN(const ima::ReplayResult result, ima::ReplayList(file.view(), HashAlg::kSha1, banks));
  if (result.wrong_hint_count > 0) return Fail(ParseError("ima-list", 0, "a template hash is wrong"));
  for (std::size_t i = 0; i < banks.size(); ++i)
    fmt::print("{} {}\n", HashName(banks[i]), result.values[i].hex());
  return {};
}

int Main(int argc, char** argv) {
  const std::string_view what = argc >= 4 ? argv[1] : "";
  Result<> done = Fail(UsageError("bench_replay make FILE RECORDS | run FILE BANK..."));
  if (what == "make") {
    done = Make(argv[2], std::strtoull(argv[3], nullptr, 10));
  } else if (what == "run") {
    std::vector<HashAlg> banks;
    for (int i = 3; i < argc; ++i) {
      if (const auto alg = HashFromName(argv[i]); alg && CanHash(*alg)) banks.push_back(*alg);
    }
    done = Run(argv[2], banks);
  }
  if (done) return 0;
  fmt::print(stderr, "{}\n", done.error().Message());
  return 1;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) { return assay::Main(argc, argv); }
