#include "tpm/software_tpm.h"

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/log.h"
#include "tpm/errors.h"

namespace assay::tpm {
namespace {

using std::chrono::milliseconds;

std::string SocketPath(const SoftwareTpmOptions& o) { return o.run_dir + "/swtpm.sock"; }
std::string PidPath(const SoftwareTpmOptions& o) { return o.run_dir + "/swtpm.pid"; }
std::string FreshPath(const SoftwareTpmOptions& o) { return o.run_dir + "/swtpm.fresh"; }

// Runs a program to its end or leaves it running, detached from our terminal and signals. Its output goes to
// the log.
Result<pid_t> Spawn(const std::vector<std::string>& command, const SoftwareTpmOptions& o) {
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> env_text;
  for (char** e = environ; *e != nullptr; ++e)
    if (!std::string_view(*e).starts_with("LD_PRELOAD=")) env_text.emplace_back(*e);
  if (!o.preload.empty()) env_text.push_back("LD_PRELOAD=" + o.preload);
  std::vector<char*> env;
  env.reserve(env_text.size() + 1);
  for (std::string& e : env_text) env.push_back(e.data());
  env.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  const std::string log_path = o.run_dir + "/swtpm.log";
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  // The program gets a session of its own: Ctrl-C at the terminal must not end the TPM before the attester.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int s : {SIGPIPE, SIGIO, SIGTERM, SIGINT}) sigaddset(&defaults, s);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  pid_t pid = -1;
  const int rc = posix_spawnp(&pid, argv[0], &files, &attributes, argv.data(), env.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (rc != 0) return Fail(OsError("posix_spawn", command[0], rc));
  return pid;
}

// Writes swtpm_setup's configuration for our own CA instead of the machine's.
Result<std::string> WriteCaConfig(const std::string& dir) {
  ASSAY_TRY(MakeDirs(dir, 0700));
  ASSAY_TRY(WriteFileAtomic(
      dir + "/ca.conf",
      AsBytes("statedir = " + dir + "\nsigningkey = " + dir + "/signkey.pem\nissuercert = " + dir + "/" +
              SoftwareTpm::kCaIssuer + "\ncertserial = " + dir + "/certserial\n")));
  ASSAY_TRY(WriteFileAtomic(dir + "/ca.options", {}));
  std::string setup = dir + "/setup.conf";
  ASSAY_TRY(WriteFileAtomic(setup, AsBytes("create_certs_tool = swtpm_localca\ncreate_certs_tool_config = " +
                                           dir + "/ca.conf\ncreate_certs_tool_options = " + dir +
                                           "/ca.options\nactive_pcr_banks = sha256\n")));
  return setup;
}

Result<> Manufacture(const SoftwareTpmOptions& o) {
  std::vector<std::string> command{"swtpm_setup", "--tpm2", "--tpmstate",     o.state_dir,
                                   "--pcr-banks", o.banks,  "--not-overwrite"};
  command.insert(command.end(), o.setup.begin(), o.setup.end());
  if (!o.ca_dir.empty()) {
    ASSAY_ASSIGN(std::string config, WriteCaConfig(o.ca_dir));
    command.insert(command.end(), {"--config", std::move(config), "--create-ek-cert"});
  }
  ASSAY_ASSIGN(const pid_t setup,
               Spawn(command, {.state_dir = o.state_dir, .run_dir = o.run_dir, .preload = "", .ca_dir = ""}));
  int status = 0;
  while (waitpid(setup, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return Fail(StateError(TpmFault::kSetup, "swtpm_setup failed: see " + o.run_dir + "/swtpm.log"));
  return {};
}

// Whether the process is an swtpm that serves our socket: pids are reused, and a pid file is only a hint.
bool IsOurs(pid_t pid, const SoftwareTpmOptions& o) {
  Result<Bytes> cmdline = ReadFile("/proc/" + std::to_string(pid) + "/cmdline", 64 << 10);
  if (!cmdline) return false;
  const std::string_view text = AsText(*cmdline);
  const std::string_view program = text.substr(0, text.find('\0'));
  return program.ends_with("swtpm") && text.find(SocketPath(o)) != std::string_view::npos;
}

bool Running(pid_t pid) {
  if (pid <= 0) return false;
  waitpid(pid, nullptr, WNOHANG);  // reaps it if it is our child, since a zombie does not run
  Result<Bytes> stat = ReadFile("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return false;
  const std::string_view text = AsText(*stat);
  const auto close = text.rfind(')');
  return close != std::string_view::npos && close + 2 < text.size() && text[close + 2] != 'Z';
}

// Whether a process listens at the socket. The socket's file exists before that.
bool Listens(const std::string& path) {
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
  return fd && connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

std::string SoftwareTpm::tcti() const { return "swtpm:path=" + SocketPath(options_); }

Result<SoftwareTpm> SoftwareTpm::Start(const SoftwareTpmOptions& options) {
  SoftwareTpm tpm;
  tpm.options_ = options;
  if (SocketPath(options).size() + 6 > 107)
    return Fail(
        UsageError("the software TPM's run folder has too long a path for a socket: " + options.run_dir));
  ASSAY_TRY(MakeDirs(options.state_dir, 0700));
  ASSAY_TRY(MakeDirs(options.run_dir, 0700));
  if (Result<Bytes> file = ReadFile(PidPath(options), 64); file) {
    pid_t pid = -1;
    const std::string_view text = AsText(*file);
    std::from_chars(text.data(), text.data() + text.size(), pid);
    if (Running(pid) && IsOurs(pid, options)) {
      tpm.pid_ = pid;
      tpm.adopted_ = true;
      tpm.fresh_ = access(FreshPath(options).c_str(), F_OK) == 0;
      return tpm;
    }
  }
  if (access((options.state_dir + "/tpm2-00.permall").c_str(), F_OK) != 0) {
    log::Info("making a software TPM in {}", options.state_dir);
    ASSAY_TRY(Manufacture(options));
  }
  tpm.fresh_ = true;
  ASSAY_TRY(WriteFileAtomic(FreshPath(options), {}));
  for (const char* suffix : {"", ".ctrl"}) unlink((SocketPath(options) + suffix).c_str());
  ASSAY_ASSIGN(
      tpm.pid_,
      Spawn({"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + options.state_dir + ",mode=0600", "--server",
             "type=unixio,path=" + SocketPath(options) + ",mode=0600", "--ctrl",
             "type=unixio,path=" + SocketPath(options) + ".ctrl,mode=0600", "--flags",
             "not-need-init,startup-clear", "--log", "file=" + options.run_dir + "/swtpm.log,level=1"},
            options));
  ASSAY_TRY(WriteFileAtomic(PidPath(options), AsBytes(std::to_string(tpm.pid_) + "\n")));
  for (int i = 0; i < 500; ++i) {
    // swtpm opens its control socket first.
    if (Listens(SocketPath(options))) return tpm;
    if (!Running(tpm.pid_)) break;
    std::this_thread::sleep_for(milliseconds(10));
  }
  ASSAY_TRY(tpm.Stop());
  return Fail(StateError(TpmFault::kStart, "swtpm did not start: see " + options.run_dir + "/swtpm.log"));
}

Result<> SoftwareTpm::TakenUp() {
  if (unlink(FreshPath(options_).c_str()) != 0 && errno != ENOENT)
    return Fail(OsError("unlink", FreshPath(options_), errno));
  fresh_ = false;
  return {};
}

bool SoftwareTpm::Alive() const { return Running(pid_) && IsOurs(pid_, options_); }

Result<> SoftwareTpm::Stop() {
  if (pid_ > 0 && Alive()) {
    kill(pid_, SIGTERM);
    for (int i = 0; i < 300 && Alive(); ++i) std::this_thread::sleep_for(milliseconds(10));
    if (Alive()) {
      kill(pid_, SIGKILL);
      for (int i = 0; i < 100 && Alive(); ++i) std::this_thread::sleep_for(milliseconds(10));
      if (Alive()) return Fail(StateError(TpmFault::kStop, "swtpm does not stop"));
    }
  }
  pid_ = -1;
  for (const std::string& path :
       {PidPath(options_), FreshPath(options_), SocketPath(options_), SocketPath(options_) + ".ctrl"})
    unlink(path.c_str());
  return {};
}

}  // namespace assay::tpm
