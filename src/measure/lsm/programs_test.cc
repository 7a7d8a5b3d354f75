#include "measure/lsm/programs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/result_testing.h"
#include "measure/lsm/bpf.h"
#include "measure/lsm/embedded.h"

namespace assay::measure {
namespace {

// A second program of a hook would be freed while a task that waits in the first one still has to call it.
TEST(LsmPrograms, AHookHasOneProgram) {
  const Result<bpf::ObjectPtr> object = bpf::OpenObject(EmbeddedLsmObject());
  ASSERT_THAT(object, IsOk());
  std::set<std::string> hooks;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object->get()) {
    const std::string section = bpf_program__section_name(program);
    EXPECT_TRUE(hooks.insert(section.substr(section.find('/') + 1)).second) << section;
  }
  EXPECT_GT(hooks.size(), 20U);
}

}  // namespace
}  // namespace assay::measure
