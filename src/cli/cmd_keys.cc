#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/fd.h"
#include "cli/commands.h"

namespace assay::cli {
namespace {

constexpr std::size_t kMaxCertificate = 1 << 20;
constexpr std::size_t kMaxCommonName = 64;  // RFC 5280, ub-common-name

struct KeysOptions {
  std::string name, out = ".";
  unsigned days = 3650;
  bool force = false;
  std::string certificate;
};

Result<int> Make(const KeysOptions& o, const Session& session) {
  if (o.name.empty() || o.name.size() > kMaxCommonName || o.name.find('/') != std::string::npos)
    return Fail(UsageError("keys make: a name has 1 to 64 characters and no slash"));
  const std::string base = o.out + "/" + o.name;
  const std::string key_file = base + ".key", public_file = base + ".pub", certificate_file = base + ".crt";
  for (const std::string& file : {key_file, public_file, certificate_file})
    if (!o.force && access(file.c_str(), F_OK) == 0)
      return Fail(UsageError(file + " exists; --force replaces it"));
  ASSAY_TRY(MakeDirs(o.out, 0755));
  ASSAY_ASSIGN(const PrivateKey key, PrivateKey::GenerateP256());
  ASSAY_ASSIGN(const std::string pem,
               MakeCertificatePem(key, {.common_name = o.name, .valid_for = std::chrono::hours(24 * o.days)},
                                  nullptr, ""));
  ASSAY_ASSIGN(const X509Ptr certificate, CertificateFromPem(pem));
  ASSAY_TRY(WriteFileAtomic(key_file, AsBytes(key.Pem()), 0600));
  ASSAY_TRY(WriteFileAtomic(public_file, AsBytes(key.Public().Pem()), 0644));
  ASSAY_TRY(WriteFileAtomic(certificate_file, AsBytes(pem), 0644));
  const std::string fingerprint = CertificateFingerprint(certificate.get()).ToString();
  if (session.json)
    session.Answer({{"key", key_file},
                    {"public", public_file},
                    {"certificate", certificate_file},
                    {"fingerprint", fingerprint}});
  else
    fmt::print("{}\n{}\n{}\nfingerprint {}\n", key_file, public_file, certificate_file, fingerprint);
  return kExitOk;
}

Result<int> Show(const KeysOptions& o, const Session& session) {
  ASSAY_ASSIGN(const Bytes pem, ReadFile(o.certificate, kMaxCertificate));
  ASSAY_ASSIGN(const X509Ptr certificate, CertificateFromPem(AsText(pem)));
  ASSAY_ASSIGN(const Validity validity, CertificateValidity(certificate.get()));
  const std::string fingerprint = CertificateFingerprint(certificate.get()).ToString();
  const std::string name = CertificateCommonName(certificate.get());
  if (session.json)
    session.Answer({{"fingerprint", fingerprint},
                    {"name", name},
                    {"not_before", validity.not_before},
                    {"not_after", validity.not_after}});
  else
    fmt::print("fingerprint {}\nname        {}\nvalid       {} to {}\n", fingerprint, name,
               validity.not_before, validity.not_after);
  return kExitOk;
}

}  // namespace

void AddKeys(Command app, Session& session) {
  auto options = std::make_shared<KeysOptions>();
  Command keys = app.AddCommand("keys", "Make keys and certificates for both sides");
  keys.RequireCommand();
  Command make = keys.AddCommand("make", "Make a P-256 key and a self-signed certificate");
  make.AddOption("--name", options->name, "Name in the certificate, and of the files").Required();
  make.AddOption("--out", options->out, "Folder").ShowDefault();
  make.AddOption("--days", options->days, "How long the certificate says it is valid")
      .InRange(1, 36500)
      .ShowDefault();
  make.AddFlag("--force", options->force, "Replace existing files");
  make.OnRun([options, &session] { session.Finish(Make(*options, session)); });
  Command show = keys.AddCommand("show", "Show a certificate's fingerprint, name and validity");
  show.AddOption("certificate", options->certificate, "A PEM file").Required();
  show.OnRun([options, &session] { session.Finish(Show(*options, session)); });
}

}  // namespace assay::cli
