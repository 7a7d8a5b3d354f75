// Internal: the destination of an engine's measurements. It is the recorder, or, in a process that watches
// one served mount, the attester (served_process.h).
//
//   // given: Recorder& recorder, const Measurement& measurement
//   RecorderSink sink(recorder);
//   ASSAY_ASSIGN(Recorded recorded, sink.Record(measurement));
//
// Contract: that of the recorder's functions of the same names. Thread-safe.
#pragma once

#include <string>

#include "measure/record/recorder.h"

namespace assay::measure {

class MeasurementSink {
 public:
  virtual ~MeasurementSink() = default;
  virtual Result<Recorded> Record(const Measurement& measurement) = 0;
  virtual Result<Recorded> RecordViolation(Violation violation, const std::string& path,
                                           const Context& context) = 0;
  virtual Result<> Flush() = 0;
  virtual HashAlg Bank() const = 0;  // the algorithm of file digests
};

class RecorderSink final : public MeasurementSink {
 public:
  explicit RecorderSink(Recorder& recorder) : recorder_(recorder) {}
  Result<Recorded> Record(const Measurement& measurement) override { return recorder_.Record(measurement); }
  Result<Recorded> RecordViolation(Violation violation, const std::string& path,
                                   const Context& context) override {
    return recorder_.RecordViolation(violation, path, context);
  }
  Result<> Flush() override { return recorder_.Flush(); }
  HashAlg Bank() const override { return kFileHash; }

 private:
  Recorder& recorder_;
};

}  // namespace assay::measure
