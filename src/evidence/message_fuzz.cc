// Frames: FrameSize() and DecodeMessage() must agree on the length of a frame. A decoded message must be the
// same after it is encoded and decoded again.
#include "base/fuzzing.h"
#include "evidence/message.h"

namespace {

using namespace assay;
using namespace assay::evidence;

Bytes Encode(const Message& m) {
  if (const auto* c = std::get_if<Challenge>(&m)) return EncodeChallenge(*c);
  if (const auto* e = std::get_if<Evidence>(&m)) return EncodeEvidence(*e);
  if (const auto* i = std::get_if<Identity>(&m)) return EncodeIdentity(*i);
  if (const auto* a = std::get_if<Activate>(&m)) return EncodeActivate(*a);
  if (const auto* a = std::get_if<Activation>(&m)) return EncodeActivation(*a);
  if (const auto* i = std::get_if<Identify>(&m)) return EncodeIdentify(*i);
  return EncodeRefusal(std::get<Refusal>(m));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView frame(data, size);
  const auto announced = FrameSize(frame, kMaxEvidence);
  const auto message = DecodeMessage(frame, kMaxEvidence);
  if (!message) return 0;
  Require(announced && *announced == size);
  // A reader of a stream sees the frame grow.
  for (std::size_t n = 0; n < size; n += 1 + size / 64) {
    const auto early = FrameSize(frame.first(n), kMaxEvidence);
    Require(early && (!*early || **early == size));
    Require(!DecodeMessage(frame.first(n), kMaxEvidence));
  }
  const Bytes once = Encode(*message);
  const auto again = DecodeMessage(once, kMaxEvidence);
  Require(again && again->index() == message->index() && Encode(*again) == once);
  return 0;
}
