// The kernel's measurement list (IMA): reading, writing, decoding and replaying, in its binary and ASCII
// forms.
//
//   // given: ByteView file
//   ListReader reader(file, HashAlg::kSha256);   // the bank: only the file's name tells it
//   Replay replay(HashAlg::kSha256);
//   while (true) {
//     ASSAY_ASSIGN(std::optional<RecordView> record, reader.Next());
//     if (!record) break;
//     replay.Add(*record);                       // recomputes the template hash; the list's column is a hint
//     ASSAY_ASSIGN(Entry entry, Decode(*record));
//     if (entry.file_digest) log::Info("{} {}", entry.file_digest->alg_name, entry.path);
//   }
//
// Contract: docs/formats/list.md. Integers are little-endian (the kernel's host order on every machine we run
// on). No allocation depends on a length found in the input. Views live as long as the input. Sizes are
// bounded by kMaxRecord. A record that ends early is a ParseError with its offset; the records before it stay
// valid. Source: Linux 6.12 security/integrity/ima/{ima_fs,ima_template,ima_template_lib}.c
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace assay::ima {

inline constexpr std::uint32_t kPcr = 10;             // CONFIG_IMA_MEASURE_PCR_IDX
inline constexpr std::size_t kMaxRecord = 16u << 20;  // bytes of template data in one record
inline constexpr std::size_t kMaxName = 255;          // TCG_EVENT_NAME_LEN_MAX

// The templates of the attester's own records. The last is named as the kernel names those that have only a
// format: with the control group of the task that loaded the file, as it stands in the unified hierarchy.
enum class Template { kNg, kBuf, kNgCgroup };
constexpr std::string_view TemplateName(Template t) {
  switch (t) {
    case Template::kNg:
      return "ima-ng";
    case Template::kBuf:
      return "ima-buf";
    case Template::kNgCgroup:
      break;
  }
  return "d-ng|n-ng|cgpath";
}
std::optional<Template> TemplateFromName(std::string_view name);  // of these three

struct RecordView {
  std::uint64_t index = 0;   // its number; the first one read is 0 unless the reader was given another start
  std::uint64_t offset = 0;  // of the record in the input, bytes
  std::uint32_t pcr = 0;
  ByteView template_digest;        // the column of the list, DigestSize(bank) bytes: a hint
  std::string_view template_name;  // "ima-ng", or a format string as "d-ng|n-ng"
  ByteView data;           // template data; for "ima": digest[20] | u32 len | name, as it stands in the file
  ByteView raw;            // the whole record
  bool violation() const;  // all-zero column
};

class ListReader {
 public:
  // Skips a kexec header, if the list begins with one; only the records that the header counts are then read.
  // first_index: the number of the first record in `data`.
  ListReader(ByteView data, HashAlg bank, std::uint64_t first_index = 0);
  // nullopt at the end.
  Result<std::optional<RecordView>> Next();
  std::uint64_t offset() const { return pos_; }  // where the next record begins
  std::uint64_t next_index() const { return index_; }

 private:
  struct Kexec {
    std::uint64_t size;   // bytes, with the header
    std::uint64_t count;  // records
  };
  static std::optional<Kexec> KexecHeader(ByteView data);
  Result<> CheckEnd() const;

  ByteView data_;
  HashAlg bank_;
  std::uint64_t first_index_;
  std::uint64_t index_;
  std::uint64_t pos_ = 0;
  std::optional<Kexec> kexec_;
};

// Whether the list was carried over a kexec: it then begins with a header, and its columns are SHA-1.
bool HasKexecHeader(ByteView list);

struct FileDigest {
  std::string alg_name;  // as in the list: "sha256"; may be an unknown name
  std::string type;      // "" (d, d-ng), "ima" or "verity" (d-ngv2)
  Bytes bytes;
  std::optional<Digest> digest;  // when the algorithm is known and the size fits
};
// The form in results and policies: "sha256:9f86...", or "verity:sha256:9f86..." for a digest of fs-verity,
// which is over a tree of hashes and not over the content.
std::string FileDigestText(const FileDigest& d);
inline constexpr std::string_view kVerityPrefix = "verity:";
Result<Digest> ParseFileDigest(std::string_view text);

struct Field {
  std::string_view id;  // "d-ng", "n-ng", "sig", "buf", ...
  ByteView value;
};

// A record's template data, decoded.
struct Entry {
  std::vector<Field> fields;  // all, in order
  std::optional<FileDigest> file_digest;
  std::string path;    // n or n-ng without its NUL; the buffer's name for ima-buf
  ByteView signature;  // sig, d-modsig's and so on stay in `fields`
  ByteView buffer;     // buf
  std::string cgroup;  // cgpath without its NUL
};
Result<Entry> Decode(const RecordView& record);

// Who wrote the list, which decides the templates that it may have. A record's template hash does not cover
// the template's name: an attester that hands over a list could otherwise rename a template to hide a field.
enum class ListWriter { kKernel, kAttester };
bool HasTemplate(ListWriter writer, std::string_view template_name);

// H(template data) as the kernel forms it for this template name and bank (for "ima": SHA1(digest || name
// padded)).
Digest TemplateDigest(HashAlg bank, std::string_view template_name, ByteView data);

// Which value a bank was extended with for a record.
enum class BankHash {
  kOwn,         // the bank's own hash of the template data
  kPaddedSha1,  // the SHA-1, zero-padded to the bank's size: by a kernel that lacks the bank's hash
  kPaddedAll,   // violations too (20 bytes of ones): Linux before 5.8, in every bank but SHA-1
};

// What TPM2_PCR_Extend was given for the record: all-ones for a violation, else the recomputed template
// digest.
Digest ExtendValue(HashAlg bank, const RecordView& record, BankHash how = BankHash::kOwn);

// The running value of one PCR in one bank. Copyable: it is also the stored prefix state, from which a later
// round goes on (value() and count(), FromState()).
class Replay {
 public:
  explicit Replay(HashAlg bank, std::uint32_t pcr = kPcr, BankHash how = BankHash::kOwn);
  static Replay FromState(const Digest& value, std::uint64_t count, std::uint32_t pcr = kPcr,
                          BankHash how = BankHash::kOwn);
  // Records for other PCRs are counted but not extended. hint_matches is false when the column is neither
  // all-zero nor the recomputed hash.
  struct Step {
    bool hint_matches;
    bool violation;
  };
  Step Add(const RecordView& record);
  const Digest& value() const { return value_; }
  std::uint64_t count() const { return count_; }
  std::uint32_t pcr() const { return pcr_; }
  BankHash how() const { return how_; }

 private:
  Digest value_;
  std::uint64_t count_ = 0;
  std::uint32_t pcr_;
  BankHash how_;
};

// Replays a whole list in several banks at once, on all cores where that helps: blocks of records are hashed
// in parallel, each bank's chain is serial. `values` is indexed as `banks`.
struct ReplayResult {
  std::uint64_t count = 0;
  std::uint64_t violations = 0;
  // The numbers of the records whose column is not the recomputed hash (at most the first 1000), and the
  // count of all. Checked when list_bank is one of the banks.
  std::vector<std::uint64_t> wrong_hints;
  std::uint64_t wrong_hint_count = 0;
  std::vector<Digest> values;
};
Result<ReplayResult> ReplayList(ByteView list, HashAlg list_bank, const std::vector<HashAlg>& banks,
                                std::uint32_t pcr = kPcr);
// The same from stored states, all of which stand before the first record of `list`. Each state advances to
// the end of the list; after an error (a ParseError) all states are unchanged.
Result<ReplayResult> ContinueReplay(ByteView list, HashAlg list_bank, std::vector<Replay>& states);

// Writing.
Bytes EncodeNg(const Digest& file_digest, std::string_view path);  // data of Template::kNg
// Data of Template::kNgCgroup. An empty control group means that it is not known.
Bytes EncodeNgCgroup(const Digest& file_digest, std::string_view path, std::string_view cgroup);
Bytes EncodeBuf(const Digest& buffer_digest, std::string_view name,
                ByteView buffer);  // data of Template::kBuf
// One record for a list whose columns are of template_digest's bank.
Bytes EncodeRecord(std::uint32_t pcr, const Digest& template_digest, std::string_view template_name,
                   ByteView data);

// One line of ascii_runtime_measurements, with its newline, as the kernel prints it. Data that the kernel
// can't print (an unknown template, fields that do not fit) is printed in hexadecimal.
std::string ToAscii(const RecordView& record);
// One field of that line.
std::string FieldText(const Field& field);
// The ASCII list is lossy (spaces and newlines in names are not escaped): a line that is ambiguous is a
// ParseError with its offset. Spaces are taken to belong to the name, and empty fields at a line's end may
// have been cut off. The result owns its bytes; columns may be of any bank's size.
struct OwnedRecord {
  std::uint32_t pcr = 0;
  Bytes template_digest;
  std::string template_name;
  Bytes data;
};
Result<std::vector<OwnedRecord>> ParseAscii(std::string_view text);

// assay-group: an ima-buf record named kGroupName whose buffer is a sequence of inner records, in order, each
// u32 name_len | name | u32 data_len | data (little-endian). docs/formats/list.md, "Groups".
inline constexpr std::string_view kGroupName = "assay-group";
struct InnerRecord {
  std::string_view template_name;
  ByteView data;
};
Bytes EncodeGroup(const std::vector<InnerRecord>& inner);
Result<std::vector<InnerRecord>> DecodeGroup(ByteView buffer);
// An inner record as if it stood in the list by itself, with the number of the group's record. An inner
// record whose file digest is all zero is a violation.
struct OpenedRecord {
  RecordView view;
  Result<Entry> entry;
};
OpenedRecord OpenInner(const RecordView& group, const InnerRecord& inner);

}  // namespace assay::ima
