// ESYS behind RAII: contexts, out-structures and handles. Internal to the tpm room: the one place that
// includes the TSS.
//
//   // given: ESYS_CONTEXT* context
//   EsysPtr<TPMS_TIME_INFO> time;
//   const TSS2_RC rc = Esys_ReadClock(context, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, Out(time));
//
// Contract: an EsysPtr frees what ESYS allocated (Esys_Free). An EsysContextPtr ends its ESYS context and a
// TctiPtr its TCTI.
#pragma once

#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include <memory>

namespace assay::tpm {

struct EsysFree {
  void operator()(void* p) const { Esys_Free(p); }
};
template <typename T>
using EsysPtr = std::unique_ptr<T, EsysFree>;

// Lets a C function write into a smart pointer.
template <typename T>
class OutProxy {
 public:
  explicit OutProxy(EsysPtr<T>& target) : target_(target) {}
  ~OutProxy() { target_.reset(raw_); }
  OutProxy(const OutProxy&) = delete;
  OutProxy& operator=(const OutProxy&) = delete;
  operator T**() { return &raw_; }  // NOLINT(google-explicit-constructor)

 private:
  EsysPtr<T>& target_;
  T* raw_ = nullptr;
};
template <typename T>
OutProxy<T> Out(EsysPtr<T>& target) {
  return OutProxy<T>(target);
}

struct TctiDelete {
  void operator()(TSS2_TCTI_CONTEXT* p) const { Tss2_TctiLdr_Finalize(&p); }
};
struct EsysDelete {
  void operator()(ESYS_CONTEXT* p) const { Esys_Finalize(&p); }
};
using TctiPtr = std::unique_ptr<TSS2_TCTI_CONTEXT, TctiDelete>;
using EsysContextPtr = std::unique_ptr<ESYS_CONTEXT, EsysDelete>;

}  // namespace assay::tpm
