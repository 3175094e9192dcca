/// Small edits of valid qcow2 files: what damage, an odd tool or somebody hostile would do to one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/differential/base_images.hpp"

namespace ingot::differential {

/// Edits one file; remembers what was done, to be printed.
class Editor {
 public:
  Editor(File& file, std::mt19937_64& random) : file_(file), random_(random) {
    const std::uint64_t bits = get(20, 4);
    cluster_ = 1ULL << std::clamp<std::uint64_t>(bits, 9, 21);
    extended_ = get(4, 4) == 3 && (get(72, 8) & 16) != 0;
    l1_ = get(40, 8);
    for (std::uint64_t i = 0; i < get(36, 4) && i < 64; ++i)
      if (const std::uint64_t table = get(l1_ + i * 8, 8) & kOffset; table != 0)
        tables_.push_back(table);
  }

  void edit() {
    switch (below(12)) {
      case 0:
      case 1:
        return header_field();
      case 2:
        return extension();
      case 3:
      case 4:
        return word("L1 entry", l1_ + 8 * below(std::max<std::uint64_t>(get(36, 4), 1)));
      case 5:
      case 6:
      case 7:
        return l2_entry();
      case 8:
        return below(2) == 0 ? compressed_byte() : some_byte("byte", below(file_.size()));
      case 9:
        return unused_table();
      case 10:
        return cut();
      default:
        return append();
    }
  }

  [[nodiscard]] const std::string& done() const { return done_; }

 private:
  static constexpr std::uint64_t kOffset = 0x00fffffffffffe00;
  struct Field {
    const char* name;
    std::uint64_t at;
    int bytes;
  };

  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : random_() % n; }

  [[nodiscard]] std::uint64_t get(std::uint64_t at, int bytes) const {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) {
      const std::uint64_t byte = at + static_cast<std::uint64_t>(i);
      value = value << 8 | (byte < file_.size() ? std::to_integer<unsigned>(file_[byte]) : 0U);
    }
    return value;
  }

  void put(const std::string& what, std::uint64_t at, std::uint64_t value, int bytes) {
    if (at >= file_.size() || file_.size() - at < static_cast<std::uint64_t>(bytes)) return;
    test::detail::put_be(file_, at, value, bytes);
    note(what + " at " + std::to_string(at) + " = " + std::to_string(value));
  }

  void note(const std::string& what) { done_ += (done_.empty() ? "" : "; ") + what; }

  // A value near the old one, near a limit, or anything.
  std::uint64_t value(std::uint64_t old) {
    switch (below(12)) {
      case 0:
        return 0;
      case 1:
        return 1 + below(4);
      case 2:
        return old + 1;
      case 3:
        return old - 1;
      case 4:
      case 5:
        return old ^ (1ULL << below(64));
      case 6:
        return old ^ (1ULL << below(32));
      case 7:
        return below(2 * file_.size() / cluster_ + 2) * cluster_;
      case 8:
        return old + (below(2) == 0 ? cluster_ : 512);
      case 9:
        return ~0ULL;
      case 10:
        return 1ULL << below(64);
      default:
        return random_() >> below(64);
    }
  }

  void header_field() {
    static constexpr Field kFields[] = {
        {"version", 4, 4},
        {"backing_file_offset", 8, 8},
        {"backing_file_size", 16, 4},
        {"cluster_bits", 20, 4},
        {"size", 24, 8},
        {"size", 24, 8},
        {"crypt_method", 32, 4},
        {"l1_size", 36, 4},
        {"l1_table_offset", 40, 8},
        {"refcount_table_offset", 48, 8},
        {"refcount_table_clusters", 56, 4},
        {"nb_snapshots", 60, 4},
        {"snapshots_offset", 64, 8},
        {"incompatible_features", 72, 8},
        {"compatible_features", 80, 8},
        {"autoclear_features", 88, 8},
        {"refcount_order", 96, 4},
        {"header_length", 100, 4},
        {"compression_type", 104, 1},
    };
    const Field& field = kFields[below(std::size(kFields))];
    std::uint64_t fresh = value(get(field.at, field.bytes));
    // Sizes that differ a little are the interesting ones; most others are too large to compare.
    if (field.at == 24 && below(4) != 0) fresh = get(24, 8) + below(4096) - below(4096);
    if (field.at == 100 && below(2) == 0) fresh = 104 + below(64);
    if (field.at == 60 && below(8) == 0) fresh = 65530 + below(12);  // takes qemu-img seconds
    put(field.name, field.at, fresh, field.bytes);
  }

  void extension() {
    static constexpr std::uint32_t kTypes[] = {0,          0xe2792aca, 0x6803f857, 0x0537be77,
                                               0x23852875, 0x44415441, 0x12345678};
    const std::uint64_t first = get(4, 4) == 3 ? get(100, 4) : 72;
    std::uint64_t at = first;
    for (std::uint64_t skip = below(3); skip > 0 && get(at, 4) != 0; --skip)
      at += 8 + (get(at + 4, 4) + 7) / 8 * 8;
    const std::uint64_t old = get(at + 4, 4);
    const std::uint64_t lengths[] = {
        0, 1, 15, 16, 24, old, cluster_ - at - 8, cluster_ - at - 7, 25, 48, 8, value(old)};
    if (below(4) != 0) put("extension type", at, kTypes[below(std::size(kTypes))], 4);
    if (below(4) != 0) put("extension length", at + 4, lengths[below(std::size(lengths))], 4);
    if (below(3) == 0) some_byte("extension content", at + 8 + below(24));
  }

  std::uint64_t some_entry() {
    if (tables_.empty()) return 0;
    return tables_[below(tables_.size())] + 8 * below(std::min<std::uint64_t>(cluster_ / 8, 96));
  }

  void l2_entry() {
    const std::uint64_t at = some_entry();
    if (at == 0) return;
    if (extended_ && at % 16 == 8 && below(2) == 0)
      return put("subcluster bitmap", at, random_() & random_(), 8);
    word("L2 entry", at);
  }

  // An entry of the L1 or an L2 table.
  void word(const std::string& what, std::uint64_t at) {
    const std::uint64_t old = get(at, 8);
    switch (below(8)) {
      case 0:
        return put(what + " (reserved bits)", at, old ^ (random_() & 0x3f000000000001fe), 8);
      case 1:
        return put(what + " (flag)", at, old ^ (1ULL << (below(3) == 0 ? 0 : 62 + below(2))), 8);
      case 2:
        return put(what + " (another's)", at, get(some_entry(), 8), 8);
      case 3: {
        const std::uint64_t end = file_.size() / cluster_ * cluster_;
        return put(what + " (end of file)", at, end + cluster_ * below(2), 8);
      }
      case 4:
        return put(what + " (neighbour)", at, old + cluster_ * (1 + below(3)) - 2 * cluster_, 8);
      case 5:
        return put(what + " (unaligned)", at, old + 512, 8);
      default:
        return put(what, at, value(old), 8);
    }
  }

  void some_byte(const std::string& what, std::uint64_t at) {
    put(what, at, below(2) == 0 ? random_() : get(at, 1) ^ (1ULL << below(8)), 1);
  }

  // Near the start of a compressed cluster, where a stream says how the rest is to be read.
  void compressed_byte() {
    for (int tries = 0; tries < 32; ++tries) {
      const std::uint64_t entry = get(some_entry(), 8);
      if ((entry >> 62 & 1) == 0) continue;
      const std::uint64_t start = entry & ((1ULL << (62 - (get(20, 4) - 8))) - 1);
      return some_byte("compressed byte", start + below(below(2) == 0 ? 12 : 100));
    }
  }

  // What a reader has no use for: reference counts, snapshots.
  void unused_table() {
    if (below(2) == 0) return word("refcount table entry", get(48, 8) + 8 * below(8));
    const std::uint64_t table = get(64, 8);
    if (table == 0 || get(60, 4) == 0) return word("refcount table entry", get(48, 8));
    some_byte("snapshot table", table + below(120));
  }

  void cut() {
    std::uint64_t size = file_.size();
    switch (below(4)) {
      case 0:
        size -= std::min(size, below(cluster_));
        break;
      case 1:
        size -= std::min(size, 512 * below(cluster_ / 512));
        break;
      case 2:
        size -= std::min(size, below(4 * cluster_));
        break;
      default:
        size = below(size);
    }
    size = std::max<std::uint64_t>(size, 1);  // an empty file is no image for anybody
    file_.resize(size);
    note("cut to " + std::to_string(size));
  }

  void append() {
    const std::uint64_t more = 1 + below(2 * cluster_);
    for (std::uint64_t i = 0; i < more; ++i) file_.push_back(static_cast<std::byte>(random_()));
    note(std::to_string(more) + " bytes appended");
  }

  File& file_;
  std::mt19937_64& random_;
  std::uint64_t cluster_ = 0;
  std::uint64_t l1_ = 0;
  bool extended_ = false;
  std::vector<std::uint64_t> tables_;
  std::string done_;
};

}  // namespace ingot::differential
