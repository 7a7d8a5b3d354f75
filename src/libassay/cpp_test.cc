// The C++ header, without an attester; with "MOUNT_POINT FILE" where one runs.
#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "assay.hpp"

namespace {

int failures = 0;

void Expect(const char* what, bool good) {
  if (good) return;
  std::printf("not so: %s\n", what);
  ++failures;
}

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) >= 0; }

}  // namespace

int main(int argc, char** argv) {
  const bool attested = argc == 3;
  const std::string file = attested ? argv[2] : "/proc/self/exe";
  assay_set_mount_point(attested ? argv[1] : "/no/such/place");
  int fd = -1;
  {
    libassay::File a = libassay::File::Open(file);
    Expect("it opens", static_cast<bool>(a) && a.error() == 0);
    libassay::File b = std::move(a);
    fd = b.fd();
    Expect("and moves", IsOpen(fd));
    const libassay::Outcome outcome = libassay::Judge(fd);
    Expect("it is judged", outcome && (outcome.value == libassay::Verdict::kAbsent) != attested);
    const libassay::Outcome text = libassay::Judge("cpp-test", "a text");
    Expect("and a text", text && (text.value == libassay::Verdict::kAbsent) != attested);
  }
  Expect("and closes", !IsOpen(fd));
  Expect("what is missing has its error", libassay::File::Open("/no/such/file").error() == ENOENT);
  const libassay::Outcome required = libassay::Judge("cpp-test", "a text", ASSAY_REQUIRE);
  Expect("an attester can be required", static_cast<bool>(required) == attested);
  return failures != 0;
}
