// A control group's path, behind a pattern and a NUL. What a container makes below its own group never
// changes whose it is.
#include "base/bytes.h"
#include "base/fuzzing.h"
#include "evidence/container.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace assay;
  using namespace assay::evidence;
  const std::string_view text = AsText({data, size});
  const std::size_t nul = std::min(text.find('\0'), text.size());
  const std::string_view cgroup = text.substr(std::min(nul + 1, text.size()));
  const std::optional<Container> c = ContainerIn(cgroup);
  if (c) {
    Require(!c->id.empty() && c->id.size() <= kMaxContainer && cgroup.find(c->id) != std::string_view::npos);
    Require(c->service.empty() || (!c->user && c->service.ends_with(".service")));
    Require(!c->user || cgroup.starts_with("/user.slice/user-"));
    Require(ContainerIn(std::string(cgroup) + "/libpod-" + std::string(kContainerId, 'a') + ".scope") == c);
  }
  const auto pattern = ContainerPattern::Parse(text.substr(0, nul));
  if (!pattern) return 0;
  const auto again = ContainerPattern::Parse(pattern->Text());
  Require(again && *again == *pattern);
  if (c && pattern->Fits(*c))
    Require(pattern->FitsId(*c) && pattern->user == c->user && pattern->service == c->service);
  return 0;
}
