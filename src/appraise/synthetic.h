// Internal, for tests, fuzz targets and benchmarks: an attester without a TPM, whose AK and run key the test
// itself makes.
//
//   // given: const evidence::Nonce& nonce, const Policy& policy
//   SyntheticHost host;                                // it has booted, and the attester runs
//   host.File("content", "/usr/bin/ls");
//   const evidence::Evidence e = host.Quote(nonce);    // all of its parts are consistent
//   const Appraisal a = Appraise(host.Ask(e, nonce), HostState{}, host, policy);
//
// Contract: Quote() returns good evidence. Tests change it, and may sign it again with Sign(). The host is
// also the reference values: it knows all content that Know() was called with.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "appraise/appraise.h"
#include "base/crypto.h"
#include "list/list.h"
#include "measure/policy/policy.h"

namespace assay::appraise {

// The content of an `assay-policy` record under the usual configuration.
inline nlohmann::json Measuring() {
  return {{"engine",
           {{"scope", "host"},
            {"mounts", {"/"}},
            {"extensions", measure::kUsualExtensions},
            {"appraise", "off"},
            {"rules", std::string(measure::Policy::BuiltIn("default").value_or(""))},
            {"guard", false},
            {"deadline_ms", 30'000},
            {"expiry", "allow"}}},
          {"record", {{"pcr", 10}, {"synchronous", false}, {"group_ms", 50}, {"max_records", 1'000'000}}}};
}
inline std::string MeasuringPolicy() { return Measuring().dump(); }

inline Digest DigestOf(std::string_view s) { return Hash(HashAlg::kSha256, AsBytes(s)); }

class SyntheticHost : public ReferenceValues {
 public:
  SyntheticHost() : SyntheticHost(Placeholders()) {}
  // With these PCR values after the boot.
  explicit SyntheticHost(const std::map<std::uint32_t, Digest>& boot, bool initramfs = false) {
    Hasher aggregate(HashAlg::kSha256);
    pcrs[kBank] = boot;
    for (std::uint32_t i = 0; i < 10; ++i) aggregate.Update(boot.at(i).view());
    pcrs[kBank][10] = Digest::Filled(HashAlg::kSha256, 0);
    Extend("ima-ng", ima::EncodeNg(aggregate.Finish(), "boot_aggregate"));
    Know("assayd", "/usr/sbin/assayd");
    Start(1, R"("/usr/sbin/assayd")", 0, initramfs);
  }

  // The attester's own records, as assayd writes them.
  void Start(unsigned run, std::string_view components = R"("/usr/sbin/assayd")", unsigned before = 0,
             bool initramfs = false) {
    OwnStart(run, components, before, initramfs);
    File("assayd", "/usr/sbin/assayd");
    Own("assay-policy", MeasuringPolicy());
    Own("assay-engine", R"({"engine":"fanotify","scope":"host","mounts":["/"]})");
  }
  void OwnStart(unsigned run, std::string_view components = R"("/usr/sbin/assayd")", unsigned before = 0,
                bool initramfs = false) {
    run_key = std::make_shared<const PrivateKey>(*PrivateKey::GenerateP256());
    Own("assay-start",
        fmt::format(
            R"({{"version":"0.1.0","pid":1,"boot_id":"b","uptime_ms":1,"scope":"host","initramfs":{},)"
            R"("tasks_before":{},"run":{},"run_key":"{}","executable":"/usr/sbin/assayd","components":[{}]}})",
            initramfs, before, run, Hex(EccPublic(*run_key, kRunSigning, {})), components));
  }

  void Extend(std::string_view name, const Bytes& data, bool violation = false, std::uint32_t pcr = 10) {
    const Digest digest = ima::TemplateDigest(HashAlg::kSha256, name, data);
    const Digest zero = Digest::Filled(HashAlg::kSha256, 0);
    records.push_back(ima::EncodeRecord(pcr, violation ? zero : digest, name, data));
    if (pcr == 10)
      pcrs[kBank][10] =
          ExtendPcr(pcrs[kBank][10], violation ? Digest::Filled(HashAlg::kSha256, 0xFF) : digest);
    if (records.size() % checkpoint_stride == 0) checkpoints.emplace_back(records.size(), pcrs[kBank][10]);
  }
  void File(std::string_view content, std::string_view path) {
    Extend("ima-ng", ima::EncodeNg(DigestOf(content), path));
  }
  void File(std::string_view content, std::string_view path, std::string_view cgroup) {
    Extend(ima::TemplateName(ima::Template::kNgCgroup), ima::EncodeNgCgroup(DigestOf(content), path, cgroup));
  }
  void Own(std::string_view name, std::string_view json) {
    Extend("ima-buf", ima::EncodeBuf(DigestOf(json), name, AsBytes(json)));
  }
  // Replaces the list by these records, beginning with an empty PCR.
  void RecordAgain(const std::vector<Bytes>& instead) {
    records.clear();
    checkpoints.clear();
    pcrs[kBank][10] = Digest::Filled(HashAlg::kSha256, 0);
    for (const Bytes& raw : instead) {
      ima::ListReader reader(raw, HashAlg::kSha256);
      const auto record = reader.Next();
      if (record && *record)
        Extend((*record)->template_name, ToBytes((*record)->data), (*record)->violation());
    }
  }
  // inner: template data, "ima-ng" each.
  void Group(const std::vector<Bytes>& inner) {
    std::vector<ima::InnerRecord> all;
    all.reserve(inner.size());
    for (const Bytes& data : inner) all.push_back({"ima-ng", data});
    const Bytes buffer = ima::EncodeGroup(all);
    Extend("ima-buf", ima::EncodeBuf(Hash(HashAlg::kSha256, buffer), ima::kGroupName, buffer));
  }

  evidence::Evidence Quote(const evidence::Nonce& nonce, std::uint64_t first = 0,
                           const std::function<void(evidence::Claims&)>& edit = {}) const {
    evidence::Evidence e;
    evidence::Claims c;
    c.hostname = evidence::HostName::OfSystem("synthetic");
    c.boot_id = boot_id;
    c.first_record = first;
    c.list_count = records.size();
    c.engine = "fanotify";
    c.engine_state = "ok";
    c.nonce = nonce;
    c.binding = {"unix", {}};
    c.pcrs = pcrs;
    const std::size_t skip = checkpoints.size() > 500 ? checkpoints.size() - 500 : 0;
    for (std::size_t i = skip; i < checkpoints.size(); ++i)
      c.checkpoints.push_back({checkpoints[i].first, checkpoints[i].second});
    if (edit) edit(c);
    for (std::size_t i = first; i < records.size(); ++i)
      e.list.insert(e.list.end(), records[i].begin(), records[i].end());
    e.claims = evidence::EncodeClaims(c);
    e.context = context;
    e.ak_public = Public(kRestrictedSigning);
    Attest(e, nonce, Selection());
    Sign(e);
    return e;
  }

  // TPMS_ATTEST over the present PCR values.
  void Attest(evidence::Evidence& e, const evidence::Nonce& nonce, const tpm::PcrSelection& selection) const {
    const Bytes qualifying = evidence::Qualifying(nonce, {"unix", {}}, e.claims, e.context);
    const Result<Digest> digest = tpm::PcrDigest(selection, pcrs);
    Writer w;
    w.U32Be(0xFF544347).U16Be(0x8018).U16Be(0);
    w.U16Be(static_cast<std::uint16_t>(qualifying.size())).Put(qualifying);
    w.U64Be(clock.clock).U32Be(clock.reset_count).U32Be(clock.restart_count).U8(clock.safe ? 1 : 0).U64Be(0);
    w.U32Be(static_cast<std::uint32_t>(selection.size()));
    for (const auto& bank : selection) {
      std::uint8_t bits[3] = {};
      for (const std::uint32_t pcr : bank.pcrs) bits[pcr / 8] |= static_cast<std::uint8_t>(1U << pcr % 8);
      w.U16Be(bank.bank).U8(3).Put(ByteView(bits));
    }
    w.U16Be(32).Put(digest ? digest->view() : DigestOf("").view());
    e.attest = w.Take();
  }
  // By the AK, and by the key of the run.
  void Sign(evidence::Evidence& e) const {
    SignAk(e);
    e.run_signature = Signature(*run_key, evidence::RunStatement(e.attest));
  }
  void SignAk(evidence::Evidence& e) const { e.signature = Signature(*key, e.attest); }
  // TPMT_SIGNATURE
  static Bytes Signature(const PrivateKey& by, ByteView over) {
    const Result<Bytes> signature = by.SignEs256(over);
    if (!signature) return {};
    Writer w;
    w.U16Be(0x0018).U16Be(0x000B);
    w.U16Be(32).Put(ByteView(*signature).first(32)).U16Be(32).Put(ByteView(*signature).last(32));
    return w.Take();
  }

  // TPMT_PUBLIC. sign, restricted | noDA | adminWithPolicy, sensitiveDataOrigin, fixedParent, fixedTPM
  static constexpr std::uint32_t kRestrictedSigning = 0x000504B2;
  Bytes Public(std::uint32_t attributes) const { return EccPublic(*key, attributes, kPolicy); }
  // sign, noDA, userWithAuth, sensitiveDataOrigin, fixedParent, fixedTPM
  static constexpr std::uint32_t kRunSigning = 0x00040472;
  static Bytes EccPublic(const PrivateKey& of, std::uint32_t attributes, ByteView policy) {
    // SubjectPublicKeyInfo of P-256 ends in 04 || x || y.
    const Bytes der = of.Public().Der();
    const ByteView point = ByteView(der).last(64);
    Writer w;
    w.U16Be(0x0023)
        .U16Be(0x000B)
        .U32Be(attributes)
        .U16Be(static_cast<std::uint16_t>(policy.size()))
        .Put(policy);
    w.U16Be(0x0010).U16Be(0x0018).U16Be(0x000B);  // no symmetric cipher, ECDSA, SHA-256
    w.U16Be(0x0003).U16Be(0x0010);                // P-256, no KDF
    w.U16Be(32).Put(point.first(32)).U16Be(32).Put(point.last(32));
    return w.Take();
  }

  tpm::PcrSelection Selection() const {
    tpm::PcrSelection out;
    for (const auto& [bank, values] : pcrs) {
      out.push_back({.bank = bank, .pcrs = {}});
      for (const auto& [index, value] : values) out.back().pcrs.push_back(index);
    }
    return out;
  }
  Request Ask(const evidence::Evidence& e, const evidence::Nonce& nonce, std::uint64_t first = 0) const {
    return {.evidence = e,
            .binding = {"unix", {}},
            .nonce = nonce,
            .selection = Selection(),
            .first_record = first};
  }

  void Know(std::string_view content, const std::string& path, Standing standing = Standing::kGood,
            const std::string& version = "1.0", std::uint64_t since_ms = 0) {
    Origin o{standing, "package", version, "amd64", path, "", since_ms};
    o.has_older = !versions.empty() && version != versions.front();
    by_digest_[DigestOf(content)].push_back(o);
    if (standing != Standing::kSuperseded) by_path_[NormalisePath(path)] = o;
  }
  // The known program may cause violations of these kinds.
  void Allow(std::string_view content, const std::set<std::string>& kinds) {
    allowed_violations_[DigestOf(content)] = kinds;
  }
  std::set<std::string> AllowedViolations(const Digest& program) const override {
    const auto found = allowed_violations_.find(program);
    return found == allowed_violations_.end() ? std::set<std::string>() : found->second;
  }
  std::vector<Origin> Find(const Digest& digest) const override {
    const auto found = by_digest_.find(digest);
    return found == by_digest_.end() ? std::vector<Origin>{} : found->second;
  }
  std::optional<Origin> FindPath(const std::string& path) const override {
    const auto found = by_path_.find(NormalisePath(path));
    return found == by_path_.end() ? std::nullopt : std::optional(found->second);
  }

  bool IsOlder(const std::string& package, const std::string& version,
               const std::string& than) const override {
    (void)package;
    const auto a = std::find(versions.begin(), versions.end(), version);
    const auto b = std::find(versions.begin(), versions.end(), than);
    return b != versions.end() && a < b;
  }
  std::string Fingerprint() const override { return fingerprint; }
  const std::vector<ImageReference>& Images() const override { return images; }

  // Quotes and enrolment; docs/formats/tpm.md
  static constexpr std::uint8_t kPolicy[32] = {
      0x7F, 0xB1, 0x35, 0x28, 0xAC, 0xD6, 0x9E, 0x0C, 0x56, 0x6D, 0x1F, 0x78, 0x5F, 0xFA, 0x69, 0x3D,
      0xEA, 0x54, 0xC6, 0x6D, 0x4B, 0x3A, 0x0F, 0x1D, 0xB8, 0xE8, 0x2C, 0x9A, 0x5A, 0x59, 0x3A, 0x4C};
  static constexpr std::uint16_t kBank = 0x000B;  // SHA-256
  std::shared_ptr<const PrivateKey> key = std::make_shared<const PrivateKey>(*PrivateKey::GenerateP256());
  std::shared_ptr<const PrivateKey> run_key;  // of the last Start()
  std::vector<Bytes> records;
  tpm::PcrValues pcrs;
  std::uint64_t checkpoint_stride = 1;
  std::vector<std::pair<std::uint64_t, Digest>> checkpoints;
  std::string boot_id = "b";
  tpm::ClockInfo clock{.clock = 1000, .reset_count = 1, .restart_count = 0, .safe = true};
  Bytes context;
  std::vector<std::string>
      versions;  // of "package", the oldest first; a test that needs their order sets them
  std::vector<ImageReference> images;
  std::string fingerprint;  // a test that changes what is known between rounds changes it

 private:
  static std::map<std::uint32_t, Digest> Placeholders() {
    std::map<std::uint32_t, Digest> out;
    for (std::uint32_t i = 0; i < 10; ++i) out[i] = DigestOf(fmt::format("PCR {}", i));
    return out;
  }

  std::unordered_map<Digest, std::vector<Origin>> by_digest_;
  std::unordered_map<std::string, Origin> by_path_;
  std::unordered_map<Digest, std::set<std::string>> allowed_violations_;
};

}  // namespace assay::appraise
