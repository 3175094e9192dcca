// `boot_entries DEVICE [UUID]`: install_boot_entries() for tests that need the whole machine.
// One line on standard output says what was done; exit code 1 and "[CODE] MESSAGE" on standard
// error when that failed.
#include "agent/job/boot_entries.hpp"

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  ingot::agent::BootEntriesRequest request;
  if (argc > 2) request.efi_system_part_uuid = argv[2];
  const auto result = ingot::agent::install_boot_entries(argv[1], request, {});
  if (result) return std::printf("%s\n", ingot::agent::describe(*result).c_str()) > 0 ? 0 : 1;
  const std::string code(ingot::name(result.error().code()));
  std::fprintf(stderr, "[%s] %s\n  %s\n", code.c_str(), result.error().message().c_str(),
               result.error().advice().c_str());
  return 1;
}
