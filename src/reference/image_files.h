// Internal: the files that a saved image consists of, in a folder or in a tar archive (packed or not).
//
//   // given: const std::string& path
//   ASSAY_ASSIGN(const std::unique_ptr<ImageFiles> files, OpenImageFiles(path));
//   ASSAY_ASSIGN(const auto texts, files->Small({"index.json", "manifest.json"}));
//   for (const auto& [name, text] : texts) log::Info("{} has {} bytes", name, text.size());
//
// Contract: names are relative and lead nowhere outside: what does is a ParseError "image", as are links that
// lead in a circle, a name that an archive has twice, and what is no regular file. An archive is read from
// its beginning to its end for each call, so that nothing is unpacked to disk: ask for many files at once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "reference/archive.h"

namespace assay::reference {

inline constexpr std::size_t kMaxImageText = std::size_t{4} << 20;  // bytes of a manifest (OCI's own bound)

Error BadImage(const std::string& what);

class ImageFiles {
 public:
  virtual ~ImageFiles() = default;
  using Visit = std::function<Result<>(const std::string& name, Pipe& content)>;
  // Calls visit for each of the names that there is, in any order.
  virtual Result<> Each(const std::set<std::string>& names, const Visit& visit) const = 0;
  // The name of the file that a link of an archive leads to; another name is returned as it is.
  virtual Result<std::string> Resolve(const std::string& name) const = 0;
  // The content of those that there are, of at most kMaxImageText bytes each.
  Result<std::map<std::string, Bytes>> Small(const std::set<std::string>& names) const;
};
Result<std::unique_ptr<ImageFiles>> OpenImageFiles(const std::string& path);
// An archive in memory, which must outlive it.
Result<std::unique_ptr<ImageFiles>> ImageFilesOf(ByteView archive);

}  // namespace assay::reference
