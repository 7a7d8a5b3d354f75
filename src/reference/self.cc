#include "reference/self.h"

#include <filesystem>
#include <set>

namespace assay::reference {
namespace {

constexpr const char* kPrograms[] = {"assay", "assayd", "assay-net", "assay-served", "assay-cap"};

Result<std::filesystem::path> OwnFolder() {
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return Fail(OsError("readlink", "/proc/self/exe", error.value()));
  return own.parent_path();
}

}  // namespace

Result<> AddSelf(Builder& builder, const std::string& version, const std::string& root) {
  ASSAY_ASSIGN(const std::filesystem::path own, OwnFolder());
  std::set<std::string> seen;
  for (const std::filesystem::path& folder : {own, own.parent_path() / "bin", own.parent_path() / "sbin"}) {
    for (const char* program : kPrograms) {
      std::error_code error;
      const std::string file = std::filesystem::canonical(folder / program, error);
      if (error || !seen.insert(file).second) continue;
      const bool staged = !root.empty() && file.starts_with(root);
      ASSAY_TRY(builder.AddFile(file, staged ? file.substr(root.size()) : file, "assay", version));
    }
  }
  return {};
}

std::string SelfIndex() {
  const Result<std::filesystem::path> own = OwnFolder();
  if (!own) return "";
  std::error_code error;
  std::string index = std::filesystem::canonical(own->parent_path() / "share/assay/assay.idx", error);
  return error ? "" : index;
}

Result<std::unique_ptr<Index>> OpenSelf(const std::string& version) {
  if (const std::string index = SelfIndex(); !index.empty()) return Index::Open(index);
  Builder builder;
  ASSAY_TRY(AddSelf(builder, version, ""));
  ASSAY_ASSIGN(Bytes bytes, builder.Encode());
  return Index::OfBytes(std::move(bytes));
}

}  // namespace assay::reference
