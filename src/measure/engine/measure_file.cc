#include "measure/engine/measure_file.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/fd.h"
#include "measure/system/byte_code.h"
#include "measure/system/errors.h"
#include "measure/system/file.h"
#include "measure/system/regular_file.h"

namespace assay::measure {
namespace {

Result<Recorded> RecordContent(const Result<Digest>& digest, const std::optional<Digest>& code, bool writers,
                               const std::string& path, const Context& context, Recorder& recorder) {
  if (!digest) {
    ASSAY_TRY(recorder.RecordViolation(Violation::kUnmeasurable, path, context));
    return Fail(digest.error().In("measuring " + path));
  }
  if (writers) ASSAY_TRY(recorder.RecordViolation(Violation::kOpenWriters, path, context));
  return recorder.Record({.digest = *digest, .path = path, .context = context, .code = code});
}

}  // namespace

Result<Recorded> MeasureFd(int fd, const Context& context, Recorder& recorder, UseGate* uses) {
  struct stat st{};
  if (fstat(fd, &st) != 0) return Fail(OsError("fstat", "", errno));
  ASSAY_ASSIGN(const std::string path, NameOfFd(fd));
  if (!S_ISREG(st.st_mode)) return Fail(StateError(FileError::kNotAFile, path + " is not a regular file"));
  const HashAlg alg = kFileHash;
  const FileState state = Hold(fd);
  const Result<Digest> digest = HashFd(fd, alg, nullptr, uses != nullptr ? &uses->closed() : nullptr);
  const std::optional<Digest> code = digest ? CodeDigestOfFd(fd, path, *digest) : std::nullopt;
  const bool writers = state == FileState::kWriters || (state == FileState::kHeld && !StillHeld(fd));
  if (state == FileState::kHeld) Release(fd);
  if (uses == nullptr) return RecordContent(digest, code, writers, path, context, recorder);
  if (!uses->Enter()) return Fail(StateError(FileError::kLate, path + ": the engine has stopped"));
  Result<Recorded> recorded = RecordContent(digest, code, writers, path, context, recorder);
  uses->Leave();
  return recorded;
}

Result<Recorded> MeasurePath(const std::string& path, const Context& context, Recorder& recorder,
                             UseGate* uses) {
  ASSAY_ASSIGN(const UniqueFd fd, OpenRegular(path));
  return MeasureFd(fd.get(), context, recorder, uses);
}

}  // namespace assay::measure
