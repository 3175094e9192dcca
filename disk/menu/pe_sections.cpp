#include "disk/menu/pe_sections.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "disk/core/units.hpp"

namespace ingot::disk {
namespace {

constexpr std::size_t kDosHeader = 64;
constexpr std::size_t kPePlace = 60;         // e_lfanew: where the PE header is
constexpr std::size_t kCoffHeader = 4 + 20;  // with its signature
constexpr std::size_t kSectionHeader = 40;
constexpr std::size_t kMostSections = 96;

bool read_at(int fd, std::uint64_t offset, char* into, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::pread(fd, into, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    into += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

std::uint32_t little(const char* bytes, std::size_t size) {
  std::uint32_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

Result<std::vector<PeSection>> read_pe_sections(int fd, const std::string& name) {
  const auto no = [&name](const char* why) {
    return fail(Errc::image_unsupported, name + ": " + why);
  };
  struct stat facts {};
  if (::fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return no("not a regular file");
  const auto file_size = static_cast<std::uint64_t>(facts.st_size);
  char dos[kDosHeader];
  if (!read_at(fd, 0, dos, sizeof dos) || dos[0] != 'M' || dos[1] != 'Z') return no("no PE file");
  const std::uint64_t pe = little(dos + kPePlace, 4);
  char coff[kCoffHeader];
  if (!read_at(fd, pe, coff, sizeof coff) || std::memcmp(coff, "PE\0\0", 4) != 0)
    return no("no PE file");
  const std::size_t count = little(coff + 6, 2);
  if (count > kMostSections) return no("a PE file with more than 96 sections");
  // Sums of 32-bit numbers: nothing here can pass 2^64.
  const std::uint64_t table = pe + kCoffHeader + little(coff + 20, 2);
  std::vector<PeSection> sections;
  for (std::size_t i = 0; i < count; ++i) {
    char header[kSectionHeader];
    if (!read_at(fd, table + i * kSectionHeader, header, sizeof header))
      return no("a PE file without its whole section table");
    PeSection section;
    section.name.assign(header, ::strnlen(header, 8));
    const std::uint64_t in_memory = little(header + 8, 4);
    const std::uint64_t in_file = little(header + 16, 4);
    section.offset = little(header + 20, 4);
    section.size = std::min(in_memory, in_file);
    if (section.offset > file_size || section.size > file_size - section.offset)
      return no("a PE file with a section outside the file");
    sections.push_back(std::move(section));
  }
  return sections;
}

}  // namespace ingot::disk
