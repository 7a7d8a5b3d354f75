// assay: the command for people and scripts. man/assay.1
#include <unistd.h>

#include <cstdlib>

#include "cli/commands.h"

int main(int argc, char** argv) {
  assay::cli::Session session;
  session.colour = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  session.progress = isatty(STDERR_FILENO) != 0;
  return assay::cli::RunAssay(argc, argv, session);
}
