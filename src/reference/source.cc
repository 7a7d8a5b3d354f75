#include "reference/source.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "reference/allowances.h"
#include "reference/byte_code.h"
#include "reference/rpm_file.h"

namespace assay::reference {
namespace {

class Deb : public PackageSource {
 public:
  Deb(std::string path, FurtherKinds kinds) : path_(std::move(path)), kinds_(std::move(kinds)) {}
  const std::string& path() const override { return path_; }
  Result<SourceRead> Read(ByteCompiler* compiler) const override {
    SourceContent out;
    ASSAY_ASSIGN(out.content,
                 ReadDeb(path_, compiler, compiler == nullptr ? nullptr : &out.byte_code, kinds_));
    MarkAllowances(out.content);
    SourceRead read;
    read.contents.push_back(std::move(out));
    return read;
  }

 private:
  std::string path_;
  FurtherKinds kinds_;
};

class Rpm : public PackageSource {
 public:
  explicit Rpm(std::string path) : path_(std::move(path)) {}
  const std::string& path() const override { return path_; }
  Result<SourceRead> Read(ByteCompiler*) const override {
    SourceContent out;
    ASSAY_ASSIGN(out.content, ReadRpm(path_));
    SourceRead read;
    read.contents.push_back(std::move(out));
    return read;
  }

 private:
  std::string path_;
};

class List : public PackageSource {
 public:
  List(std::string path, PackageName name) : path_(std::move(path)), name_(std::move(name)) {}
  const std::string& path() const override { return path_; }
  Result<SourceRead> Read(ByteCompiler*) const override {
    ASSAY_ASSIGN(const Bytes text, ReadFile(path_, kMaxDigestList));
    const Result<DigestList> list = ParseDigestList(AsText(text));
    if (!list) return Fail(list.error().In(path_));
    SourceRead read;
    read.contents.push_back({.content = ContentOf(*list, name_)});
    read.report.left_out = list->left_out;
    return read;
  }

 private:
  std::string path_;
  PackageName name_;
};

}  // namespace

std::unique_ptr<PackageSource> DebSource(std::string path, FurtherKinds kinds) {
  return std::make_unique<Deb>(std::move(path), std::move(kinds));
}

std::unique_ptr<PackageSource> RpmSource(std::string path) { return std::make_unique<Rpm>(std::move(path)); }

std::unique_ptr<PackageSource> ListSource(std::string path, PackageName name) {
  return std::make_unique<List>(std::move(path), std::move(name));
}

PackageContent ContentOf(const DigestList& list, const PackageName& name) {
  PackageContent content{.package = name.package, .version = name.version, .architecture = "", .files = {}};
  content.files.reserve(list.files.size());
  for (const ListedFile& f : list.files) content.files.push_back({f.path, f.digest});
  return content;
}

SourceReport AddSources(const Sources& sources, Builder& builder, const FetchProgress& progress) {
  std::atomic<std::size_t> next{0};
  Mutex mutex;
  SourceReport all;      // under the mutex
  std::size_t done = 0;  // under the mutex
  auto work = [&] {
    for (std::size_t i = next++; i < sources.size(); i = next++) {
      Result<SourceReport> added = builder.Add(*sources[i]);
      const MutexLock lock(mutex);
      if (added) {
        std::ranges::move(added->failed, std::back_inserter(all.failed));
        all.left_out += added->left_out;
      } else {
        all.failed.push_back({sources[i]->path(), added.error()});
      }
      if (progress) progress(++done, sources.size());
    }
  };
  std::vector<Thread> threads;
  for (std::size_t i = 1; i < std::min<std::size_t>(std::thread::hardware_concurrency(), sources.size()); ++i)
    threads.push_back(Thread("assay-hash", work));
  work();
  threads.clear();  // waits for them
  std::sort(all.failed.begin(), all.failed.end(),
            [](const FailedFile& a, const FailedFile& b) { return a.path < b.path; });
  return all;
}

}  // namespace assay::reference
