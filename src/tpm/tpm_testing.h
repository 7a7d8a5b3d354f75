// For tests: a software TPM of a test's own, in a temporary folder, with a connection to it.
//
//   #include "base/result_testing.h"
//   class ExampleInfoTest : public SoftwareTpmTest {};
//   TEST_F(ExampleInfoTest, SaysWhatItIs) { EXPECT_THAT(tpm_->Info(), IsOk()); }
//
// Contract: a TestTpm stops its TPM and a fixture removes its folder, whatever the test did with them. A step
// that fails is a fatal failure of the test. A recorder comes with measure/record/recorder_testing.h.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "base/folder_testing.h"
#include "base/process.h"
#include "base/result_testing.h"
#include "tpm/software_tpm.h"
#include "tpm/tpm.h"
#include "tpm/tpm_impl.h"

namespace assay::tpm {

// What others do to a TPM while we are connected to it.
struct TpmForTest {
  // tpm2_flushcontext -t: by another program, so that ESYS does not know of it.
  static void FlushAll(Tpm& tpm) {
    Tpm::Impl& impl = *tpm.impl_;
    const MutexLock lock(impl.mutex);
    EsysPtr<TPMS_CAPABILITY_DATA> data;
    TPMI_YES_NO more = 0;
    ASSERT_EQ(Esys_GetCapability(impl.ctx(), kNone, kNone, kNone, TPM2_CAP_HANDLES, TPM2_TRANSIENT_FIRST,
                                 TPM2_MAX_CAP_HANDLES, &more, Out(data)),
              TSS2_RC_SUCCESS);
    const TPML_HANDLE& handles = data->data.handles;
    for (UINT32 i = 0; i < handles.count; ++i) {
      const Bytes command = Writer()
                                .U16Be(TPM2_ST_NO_SESSIONS)
                                .U32Be(14)  // bytes
                                .U32Be(TPM2_CC_FlushContext)
                                .U32Be(handles.handle[i])
                                .Take();
      ASSERT_EQ(Tss2_Tcti_Transmit(impl.tcti.get(), command.size(), command.data()), TSS2_RC_SUCCESS);
      std::array<std::uint8_t, 4096> answer{};
      size_t size = answer.size();
      ASSERT_EQ(Tss2_Tcti_Receive(impl.tcti.get(), &size, answer.data(), TSS2_TCTI_TIMEOUT_BLOCK),
                TSS2_RC_SUCCESS);
      ASSERT_EQ(ToBytes(ByteView(answer).subspan(6, 4)), Bytes(4, 0));  // TPM_RC_SUCCESS
    }
  }
  // Another program's key takes the place of ours.
  static void OccupyHandles(Tpm& tpm) {
    FlushAll(tpm);
    Tpm::Impl& impl = *tpm.impl_;
    const MutexLock lock(impl.mutex);
    TPM2B_PUBLIC other = AkTemplate(AkKind::kEccP256);
    for (UINT16 i = 0; i < 2; ++i) {
      other.publicArea.unique.ecc.y.size = i + 1;
      EsysPtr<TPM2B_PUBLIC> pub;
      ASSERT_THAT(impl.Primary(other, pub), IsOk());
    }
  }
  // The maker's key from its template: persistent at the handle, or only known (0). With a password it can't
  // be used by others. Its TPMT_PUBLIC.
  static Result<KeyPublic> MakeDeviceKey(Tpm& tpm, DeviceKey which, KeyPublic::Kind kind,
                                         std::uint32_t handle, std::string_view password = "") {
    Tpm::Impl& impl = *tpm.impl_;
    const MutexLock lock(impl.mutex);
    TPM2B_SENSITIVE_CREATE sensitive{};
    Fill(sensitive.sensitive.userAuth, AsBytes(password));
    const std::optional<TPM2B_PUBLIC> from = DeviceTemplate(which, kind);
    const TPM2B_DATA outside{};
    const TPML_PCR_SELECTION pcrs{};
    EsysPtr<TPM2B_PUBLIC> pub;
    EsysPtr<TPM2B_CREATION_DATA> data;
    EsysPtr<TPM2B_DIGEST> hash;
    EsysPtr<TPMT_TK_CREATION> ticket;
    ESYS_TR key = kNone, kept = kNone;
    ASSAY_TRY(impl.Run("TPM2_CreatePrimary", [&] {
      return Esys_CreatePrimary(impl.ctx(), ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD, kNone, kNone,
                                &sensitive, &*from, &outside, &pcrs, &key, Out(pub), Out(data), Out(hash),
                                Out(ticket));
    }));
    if (handle != 0) {
      ASSAY_TRY(impl.Run("TPM2_EvictControl", [&] {
        return Esys_EvictControl(impl.ctx(), ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD, kNone, kNone, handle,
                                 &kept);
      }));
      Esys_TR_Close(impl.ctx(), &kept);
    }
    Esys_FlushContext(impl.ctx(), key);
    ASSAY_ASSIGN(const Bytes area, Marshalled(pub->publicArea, Tss2_MU_TPMT_PUBLIC_Marshal, "a device key"));
    return ParsePublic(area);
  }
  static Result<> Evict(Tpm& tpm, std::uint32_t handle) {
    Tpm::Impl& impl = *tpm.impl_;
    const MutexLock lock(impl.mutex);
    ESYS_TR key = kNone, gone = kNone;
    ASSAY_TRY(impl.Run("TPM2_ReadPublic",
                       [&] { return Esys_TR_FromTPMPublic(impl.ctx(), handle, kNone, kNone, kNone, &key); }));
    return impl.Run("TPM2_EvictControl", [&] {
      return Esys_EvictControl(impl.ctx(), ESYS_TR_RH_OWNER, key, ESYS_TR_PASSWORD, kNone, kNone, handle,
                               &gone);
    });
  }
  // Defines an index that everybody may read.
  static Result<> WriteNv(Tpm& tpm, std::uint32_t index, ByteView content) {
    Tpm::Impl& impl = *tpm.impl_;
    const MutexLock lock(impl.mutex);
    const TPM2B_AUTH none{};
    TPM2B_NV_PUBLIC pub{};
    pub.nvPublic.nvIndex = index;
    pub.nvPublic.nameAlg = TPM2_ALG_SHA256;
    pub.nvPublic.attributes = TPMA_NV_OWNERWRITE | TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD;
    pub.nvPublic.dataSize = static_cast<UINT16>(content.size());
    ESYS_TR nv = kNone;
    ASSAY_TRY(impl.Run("TPM2_NV_DefineSpace", [&] {
      return Esys_NV_DefineSpace(impl.ctx(), ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, kNone, kNone, &none, &pub,
                                 &nv);
    }));
    for (std::size_t at = 0; at < content.size(); at += 512) {
      TPM2B_MAX_NV_BUFFER part{};
      Fill(part, content.subspan(at, std::min<std::size_t>(512, content.size() - at)));
      ASSAY_TRY(impl.Run("TPM2_NV_Write", [&] {
        return Esys_NV_Write(impl.ctx(), ESYS_TR_RH_OWNER, nv, ESYS_TR_PASSWORD, kNone, kNone, &part,
                             static_cast<UINT16>(at));
      }));
    }
    Esys_TR_Close(impl.ctx(), &nv);
    return {};
  }
  // The machine sleeps and wakes with the TPM's state kept: TPM2_Startup(STATE). Without it: TPM Restart.
  static void Suspend(Tpm& tpm, const SoftwareTpm& swtpm, bool resumed = true) {
    Tpm::Impl& impl = *tpm.impl_;
    const MutexLock lock(impl.mutex);
    ASSERT_EQ(Esys_Shutdown(impl.ctx(), kNone, kNone, kNone, TPM2_SU_STATE), TSS2_RC_SUCCESS);
    PowerCycle(swtpm);
    ASSERT_EQ(Esys_Startup(impl.ctx(), resumed ? TPM2_SU_STATE : TPM2_SU_CLEAR), TSS2_RC_SUCCESS);
  }
  // A reset of the chip under the running system.
  static void Reset(Tpm& tpm, const SoftwareTpm& swtpm) {
    Tpm::Impl& impl = *tpm.impl_;
    const MutexLock lock(impl.mutex);
    PowerCycle(swtpm);
    ASSERT_EQ(Esys_Startup(impl.ctx(), TPM2_SU_CLEAR), TSS2_RC_SUCCESS);
  }
  // TPM2_Startup() is left to do.
  static void PowerCycle(const SoftwareTpm& swtpm) {
    const std::string socket = swtpm.tcti().substr(std::string("swtpm:path=").size()) + ".ctrl";
    const Result<Output> done = RunProgram({"swtpm_ioctl", "--unix", socket, "-i"}, "/");
    ASSERT_THAT(done, IsOk());
    ASSERT_EQ(done->exit_code, 0) << done->err;
  }
};

// For a test with several of them; with one, SoftwareTpmTest is shorter.
struct TestTpm {
  TestTpm() = default;
  TestTpm(const TestTpm&) = delete;
  TestTpm& operator=(const TestTpm&) = delete;
  ~TestTpm() { Stop(); }
  // Its state is kept in dir/state; with a CA's folder, it has an EK certificate by that CA.
  void Start(const std::string& dir, const std::string& ca_dir = "") {
    options = {.state_dir = dir + "/state",
               .run_dir = dir + "/run",
               .preload = "",
               .ca_dir = ca_dir,
               .banks = banks,
               .setup = setup};
    Start();
  }
  // Again; connections stay the caller's to make.
  void Start() {
    auto started = SoftwareTpm::Start(options);
    ASSERT_THAT(started, IsOk());
    swtpm = *started;
  }
  void Connect() {
    tpm.reset();
    auto connected = Tpm::Connect(swtpm.tcti());
    ASSERT_THAT(connected, IsOk());
    tpm = std::move(*connected);
  }
  void Stop() {
    tpm.reset();
    if (options.run_dir.empty()) return;  // never started
    EXPECT_THAT(swtpm.Stop(), IsOk());
  }
  // Its PCRs are zero then.
  void Reset() {
    Stop();
    ASSERT_NO_FATAL_FAILURE(Start());
    Connect();
  }
  std::string banks = SoftwareTpmOptions().banks;  // this and the next: set before Start()
  std::vector<std::string> setup;
  SoftwareTpmOptions options;
  SoftwareTpm swtpm;
  std::unique_ptr<Tpm> tpm;
};

class SoftwareTpmTest : public FolderTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(FolderTest::SetUp());
    ASSERT_NO_FATAL_FAILURE(machine_.Start(dir_, certified_ ? dir_ + "/ca" : ""));
    machine_.Connect();
  }
  void TearDown() override {
    machine_.Stop();
    FolderTest::TearDown();
  }
  bool certified_ = false;  // set before SetUp(): by a CA in dir_/ca
  TestTpm machine_;
  SoftwareTpm& swtpm_ = machine_.swtpm;
  std::unique_ptr<Tpm>& tpm_ = machine_.tpm;
};

}  // namespace assay::tpm
