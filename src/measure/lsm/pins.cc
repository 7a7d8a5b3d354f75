#include "measure/lsm/pins.h"

#include <linux/bpf.h>

#include <cstring>
#include <map>

#include "measure/lsm/errors.h"

namespace assay::measure {
namespace {

constexpr std::uint8_t kLoadWide = BPF_LD | BPF_IMM | BPF_DW;
constexpr std::size_t kMaxInstructions = 1'000'000;

Error Unfit(const std::string& pin, const std::string& why) {
  return StateError(LsmError::kPins, pin + ": " + why);
}

struct Program {
  bpf_prog_info info{};
  std::vector<bpf_insn> instructions;
};

Result<Program> ReadProgram(int fd, const std::string& name) {
  Program p;
  ASSAY_ASSIGN(p.info, bpf::InfoOf<bpf_prog_info>(fd, name));
  const std::size_t count = p.info.xlated_prog_len / sizeof(bpf_insn);
  if (count == 0 || count > kMaxInstructions)
    return Fail(StateError(LsmError::kPins, name + ": the kernel does not show its instructions"));
  p.instructions.resize(count);
  bpf_prog_info again{};
  again.xlated_prog_insns = reinterpret_cast<std::uintptr_t>(p.instructions.data());
  again.xlated_prog_len = static_cast<std::uint32_t>(count * sizeof(bpf_insn));
  std::uint32_t size = sizeof(again);
  if (const int r = bpf_obj_get_info_by_fd(fd, &again, &size); r != 0)
    return Fail(OsError("bpf_obj_get_info_by_fd", name, -r));
  if (again.xlated_prog_insns == 0 || again.xlated_prog_len != count * sizeof(bpf_insn))
    return Fail(StateError(LsmError::kPins, name + ": the kernel does not show its instructions"));
  return p;
}

// Which of our maps each pinned map takes the place of.
class Maps {
 public:
  Result<> Add(std::uint32_t ours, std::uint32_t theirs, const std::string& pin) {
    const auto [at, is_new] = theirs_.try_emplace(ours, theirs);
    if (at->second != theirs) return Fail(Unfit(pin, "it uses another map"));
    return is_new ? Compare(ours, theirs, pin) : Result<>();
  }

 private:
  static Result<> Compare(std::uint32_t ours, std::uint32_t theirs, const std::string& pin) {
    const UniqueFd a(bpf_map_get_fd_by_id(ours)), b(bpf_map_get_fd_by_id(theirs));
    if (!a || !b) return Fail(Unfit(pin, "a map can't be opened"));
    ASSAY_ASSIGN(const bpf_map_info x, bpf::InfoOf<bpf_map_info>(a.get(), pin));
    ASSAY_ASSIGN(const bpf_map_info y, bpf::InfoOf<bpf_map_info>(b.get(), pin));
    if (x.type != y.type || x.key_size != y.key_size || x.value_size != y.value_size ||
        x.max_entries != y.max_entries || x.map_flags != y.map_flags ||
        std::strncmp(x.name, y.name, sizeof(x.name)) != 0)
      return Fail(Unfit(pin, std::string("its map ") + x.name + " has another form"));
    if ((x.map_flags & BPF_F_RDONLY_PROG) == 0) return {};
    Bytes constants(x.value_size), pinned(y.value_size);
    const std::uint32_t zero = 0;
    if (bpf_map_lookup_elem(a.get(), &zero, constants.data()) != 0 ||
        bpf_map_lookup_elem(b.get(), &zero, pinned.data()) != 0 || constants != pinned)
      return Fail(Unfit(pin, "its constants are others"));
    return {};
  }

  std::map<std::uint32_t, std::uint32_t> theirs_;
};

Result<> CompareInstructions(const Program& ours, const Program& theirs, Maps& maps, const std::string& pin) {
  const auto differs = [&] { return Fail(Unfit(pin, "it is another program")); };
  if (ours.info.type != theirs.info.type ||
      std::memcmp(ours.info.tag, theirs.info.tag, sizeof(ours.info.tag)) != 0 ||
      ours.instructions.size() != theirs.instructions.size())
    return differs();
  for (std::size_t i = 0; i < ours.instructions.size(); ++i) {
    const bpf_insn &a = ours.instructions[i], &b = theirs.instructions[i];
    const bool names_map = a.code == kLoadWide && i + 1 < ours.instructions.size() &&
                           (a.src_reg == BPF_PSEUDO_MAP_FD || a.src_reg == BPF_PSEUDO_MAP_VALUE);
    if (!names_map) {
      if (std::memcmp(&a, &b, sizeof(a)) != 0) return differs();
      continue;
    }
    // The kernel shows the map's number in place of its address.
    if (a.code != b.code || a.src_reg != b.src_reg || a.dst_reg != b.dst_reg || a.off != b.off)
      return differs();
    ASSAY_TRY(maps.Add(static_cast<std::uint32_t>(a.imm), static_cast<std::uint32_t>(b.imm), pin));
  }
  return {};
}

}  // namespace

Result<> CheckPins(const std::string& dir, bpf_object& fresh, const std::vector<std::string>& maps) {
  Maps pairs;
  for (const std::string& name : maps) {
    const bpf_map* map = bpf_object__find_map_by_name(&fresh, name.c_str());
    if (map == nullptr) return Fail(LibError("libbpf", "the object has no map " + name));
    const std::string pin = "map_" + name;
    const Result<UniqueFd> pinned = bpf::OpenPinned(dir + "/" + pin);
    if (!pinned) return Fail(Unfit(pin, pinned.error().Message()));
    ASSAY_ASSIGN(const bpf_map_info ours, bpf::InfoOf<bpf_map_info>(bpf_map__fd(map), pin));
    ASSAY_ASSIGN(const bpf_map_info theirs, bpf::InfoOf<bpf_map_info>(pinned->get(), pin));
    ASSAY_TRY(pairs.Add(ours.id, theirs.id, pin));
  }
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, &fresh) {
    if (!bpf_program__autoload(program)) continue;
    const std::string pin = std::string("link_") + bpf_program__name(program);
    const Result<UniqueFd> link = bpf::OpenPinned(dir + "/" + pin);
    if (!link) return Fail(Unfit(pin, link.error().Message()));
    ASSAY_ASSIGN(const bpf_link_info at, bpf::InfoOf<bpf_link_info>(link->get(), pin));
    ASSAY_ASSIGN(const Program ours, ReadProgram(bpf_program__fd(program), pin));
    if (at.type != BPF_LINK_TYPE_TRACING || at.tracing.attach_type != BPF_LSM_MAC ||
        at.tracing.target_btf_id != ours.info.attach_btf_id)
      return Fail(Unfit(pin, "it is attached somewhere else"));
    const UniqueFd fd(bpf_prog_get_fd_by_id(at.prog_id));
    if (!fd) return Fail(Unfit(pin, "its program can't be opened"));
    ASSAY_ASSIGN(const Program theirs, ReadProgram(fd.get(), pin));
    ASSAY_TRY(CompareInstructions(ours, theirs, pairs, pin));
  }
  return {};
}

}  // namespace assay::measure
