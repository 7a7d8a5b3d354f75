// Internal: the handle by which the user of an engine holds it. A thread that hangs in a file system keeps
// the engine itself alive; the user can destroy the handle all the same.
//
//   // given: std::shared_ptr<Engine> engine
//   const std::unique_ptr<Engine> handle = std::make_unique<EngineHandle>(std::move(engine));
//
// Contract: after Stop() the engine touches nothing that is not its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "measure/engine/engine.h"

namespace assay::measure {

class EngineHandle : public Engine {
 public:
  explicit EngineHandle(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}
  ~EngineHandle() override { engine_->Stop(); }
  std::string Name() const override { return engine_->Name(); }
  EngineStats Stats() const override { return engine_->Stats(); }
  Result<> Health() const override { return engine_->Health(); }
  void Stop() override { engine_->Stop(); }
  Result<std::vector<UniqueFd>> PrepareToLeave(pid_t successor) override {
    return engine_->PrepareToLeave(successor);
  }
  void Stay() override { engine_->Stay(); }
  Result<> MarkHelper(pid_t helper) override { return engine_->MarkHelper(helper); }
  void Leave() override { engine_->Leave(); }
  Result<> BeginAlone() override { return engine_->BeginAlone(); }
  void ServesDevice(dev_t device) override { engine_->ServesDevice(device); }
  void Announced(pid_t process, std::string_view hook) override { engine_->Announced(process, hook); }
  bool Follow(const std::shared_ptr<const Policy>& policy) override { return engine_->Follow(policy); }
  bool IsOwn(pid_t pid) const override { return engine_->IsOwn(pid); }

 private:
  std::shared_ptr<Engine> engine_;
};

}  // namespace assay::measure
