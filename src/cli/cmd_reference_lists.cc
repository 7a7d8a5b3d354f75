// Lists of digests for other tools, written from an index. man/assay-reference.1
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "cli/cmd_reference.h"

namespace assay::cli {
namespace {

struct ExportOptions {
  std::string index, form = "sha256sum", out;
};

Result<int> Export(const ExportOptions& o, const Session& session) {
  ASSAY_ASSIGN(const std::unique_ptr<reference::Index> index, reference::Index::Open(o.index));
  const std::string text =
      o.form == "keylime" ? reference::KeylimePolicyOf(*index) : reference::Sha256SumsOf(*index);
  if (!o.out.empty()) ASSAY_TRY(WriteFileAtomic(o.out, AsBytes(text), 0644));
  if (session.json)
    session.Answer({{"form", o.form}, {"written", o.out}, {"text", o.out.empty() ? text : ""}});
  else if (o.out.empty())
    fmt::print("{}", text);
  return kExitOk;
}

}  // namespace

void AddExport(Command reference, Session& session) {
  auto o = std::make_shared<ExportOptions>();
  Command out = reference.AddCommand("export", "Write what an index holds in another tool's form");
  out.AddOption("index", o->index, "The index").Required();
  out.AddOption("--form", o->form, "sha256sum, or keylime (a runtime policy)")
      .OneOf({"sha256sum", "keylime"})
      .ShowDefault();
  out.AddOption("--out", o->out, "File to write; by default the output");
  out.OnRun([o, &session] { session.Finish(Export(*o, session)); });
}

}  // namespace assay::cli
