#include "daemon/service.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-login.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace assay::daemon {
namespace {

constexpr const char* kPrivateSocket = "unix:path=/run/systemd/private";
constexpr const char* kManager = "org.freedesktop.systemd1";
constexpr std::uint64_t kPatienceUs = 2'000'000;

struct Free {
  void operator()(char* p) const { free(p); }
  void operator()(sd_bus* p) const { sd_bus_flush_close_unref(p); }
  void operator()(sd_bus_message* p) const { sd_bus_message_unref(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string UnitOf(pid_t process) {
  char* unit = nullptr;
  if (sd_pid_get_unit(process, &unit) < 0) return {};
  const Owned<char> owned(unit);
  return unit;
}

Owned<sd_bus> Connect() {
  sd_bus* bus = nullptr;
  if (sd_bus_new(&bus) < 0) return nullptr;
  Owned<sd_bus> owned(bus);
  if (sd_bus_set_address(bus, kPrivateSocket) < 0 || sd_bus_set_method_call_timeout(bus, kPatienceUs) < 0 ||
      sd_bus_start(bus) < 0)
    return nullptr;
  return owned;
}

// The path of the job that is queued for the unit; empty: there is none.
std::string JobOf(sd_bus* bus, const std::string& unit) {
  char* path = nullptr;
  if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &path) < 0) return {};
  const Owned<char> object(path);
  sd_bus_message* reply = nullptr;
  if (sd_bus_get_property(bus, kManager, path, "org.freedesktop.systemd1.Unit", "Job", nullptr, &reply,
                          "(uo)") < 0)
    return {};
  const Owned<sd_bus_message> owned(reply);
  std::uint32_t number = 0;
  const char* job = nullptr;
  if (sd_bus_message_read(reply, "(uo)", &number, &job) < 0 || number == 0) return {};
  return job;
}

}  // namespace

bool IsRestarted() {
  const std::string unit = UnitOf(0);
  const Owned<sd_bus> bus = unit.empty() ? nullptr : Connect();
  const std::string job = bus ? JobOf(bus.get(), unit) : "";
  if (job.empty()) return false;
  char* type = nullptr;
  if (sd_bus_get_property_string(bus.get(), kManager, job.c_str(), "org.freedesktop.systemd1.Job", "JobType",
                                 nullptr, &type) < 0)
    return false;
  const Owned<char> owned(type);
  return std::string_view(type) == "restart";
}

bool IsOfOurUnit(pid_t process) {
  const std::string unit = UnitOf(0);
  return !unit.empty() && UnitOf(process) == unit;
}

}  // namespace assay::daemon
