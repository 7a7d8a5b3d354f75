#include "reference/self.h"

#include <filesystem>
#include <set>
#include <utility>

#include "reference/source.h"

namespace assay::reference {
namespace {

constexpr const char* kPrograms[] = {"assay", "assayd", "assay-net", "assay-served", "assay-cap"};

Result<std::filesystem::path> OwnFolder() {
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return Fail(OsError("readlink", "/proc/self/exe", error.value()));
  return own.parent_path();
}

class Own : public PackageSource {
 public:
  explicit Own(PackageContent content) : content_(std::move(content)) {}
  const std::string& path() const override { return content_.package; }
  Result<SourceRead> Read(ByteCompiler*) const override {
    SourceRead read;
    read.contents.push_back({.content = content_});
    return read;
  }

 private:
  PackageContent content_;
};

}  // namespace

Result<> AddSelf(Builder& builder, const std::string& version, const std::string& root,
                 const FurtherKinds& kinds) {
  ASSAY_ASSIGN(const std::filesystem::path own, OwnFolder());
  std::set<std::string> seen;
  PackageContent content{.package = "assay", .version = version, .architecture = "", .files = {}};
  for (const std::filesystem::path& folder : {own, own.parent_path() / "bin", own.parent_path() / "sbin"}) {
    for (const char* program : kPrograms) {
      std::error_code error;
      const std::string file = std::filesystem::canonical(folder / program, error);
      if (error || !seen.insert(file).second) continue;
      const bool staged = !root.empty() && file.starts_with(root);
      ASSAY_ASSIGN(PackagedFile found, DigestsOf(file, staged ? file.substr(root.size()) : file, kinds));
      content.files.push_back(std::move(found));
    }
  }
  if (content.files.empty()) return {};
  ASSAY_TRY(builder.Add(Own(std::move(content))));
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
