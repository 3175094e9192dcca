#include "disk/crc64.hpp"

#include <isa-l/crc64.h>

#include <array>

namespace ingot::disk {
namespace {

constexpr std::uint64_t kPolynomial = 0x42F0E1EBA9EA3693;  // without x^64

// a * b modulo the polynomial; bit i stands for x^i.
constexpr std::uint64_t multiply(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  for (; b != 0; b >>= 1) {
    product ^= a & (0 - (b & 1));
    a = (a << 1) ^ (kPolynomial & (0 - (a >> 63)));
  }
  return product;
}

constexpr std::size_t kDigits = 256;
using Powers = std::array<std::uint64_t, kDigits>;

// shift[k][d] = x^(8 * d * 256^k): d zero bytes, as the k-th digit of their number to base 256.
constexpr std::array<Powers, sizeof(std::uint64_t)> make_shifts() {
  std::array<Powers, sizeof(std::uint64_t)> shift{};
  std::uint64_t step = 0x100;
  for (Powers& powers : shift) {
    powers[0] = 1;
    for (std::size_t d = 1; d < kDigits; ++d) powers[d] = multiply(powers[d - 1], step);
    step = multiply(powers[kDigits - 1], step);
  }
  return shift;
}
const std::array<Powers, sizeof(std::uint64_t)> kShifts = make_shifts();

}  // namespace

std::uint64_t crc64(std::span<const std::byte> data) noexcept {
  // ISA-L inverts before and after; so do we, and what is left is the plain remainder.
  return ~crc64_ecma_norm(~std::uint64_t{0}, reinterpret_cast<const unsigned char*>(data.data()),
                          data.size());
}

std::uint64_t crc64_followed_by(std::uint64_t crc, std::uint64_t zeros) noexcept {
  if (crc == 0) return 0;
  for (std::size_t k = 0; zeros != 0; ++k, zeros >>= 8)
    if ((zeros & 0xff) != 0) crc = multiply(kShifts[k][zeros & 0xff], crc);
  return crc;
}

}  // namespace ingot::disk
