/// Makes qcow2 images of any legal layout, much freer than qemu-img's, with their expected disk.
///
/// Source: docs/interop/qcow2.txt of QEMU 7.2. Refcounts are left at zero: a reader does not look
/// at them, and neither does qemu-img convert.
#pragma once

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace ingot::test {

struct Qcow2Layout {
  unsigned version = 3;
  unsigned cluster_bits = 16;
  bool extended_l2 = false;
  bool zstd = false;
  std::uint64_t virtual_size = 4 << 20;  ///< bytes, multiple of 512
  enum class Order {
    tables_first,  ///< L1, all L2 tables, then data
    interleaved,   ///< each L2 table before its data, as qemu-img convert does
    tables_last,   ///< data, then L2 tables, then L1
    shuffled,      ///< anything anywhere
  } order = Order::interleaved;
  bool shuffle_data = false;  ///< data in no order (with any `order`)
  double compressed = 0.5;    ///< of the allocated clusters
  double allocated = 0.7;     ///< of all clusters
  std::uint32_t seed = 1;
};

struct BuiltQcow2 {
  std::vector<std::byte> file;
  std::vector<std::byte> disk;
};

namespace detail {

inline void put_be(std::vector<std::byte>& out, std::size_t at, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out[at + static_cast<std::size_t>(i)] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
}

inline std::vector<std::byte> deflate_cluster(const std::vector<std::byte>& in, bool zstd) {
  std::vector<std::byte> out(in.size() * 2 + 1024);
  if (zstd) {
    out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 1));
    return out;
  }
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace detail

/// The image and the disk that any correct reader makes of it.
inline BuiltQcow2 build_qcow2(const Qcow2Layout& layout) {
  using detail::put_be;
  std::mt19937 random(layout.seed);
  const auto chance = [&](double p) { return std::uniform_real_distribution<>(0, 1)(random) < p; };
  const std::size_t cluster = std::size_t{1} << layout.cluster_bits;
  const std::size_t entry_size = layout.extended_l2 ? 16 : 8;
  const std::size_t per_table = cluster / entry_size;
  const std::size_t clusters = (layout.virtual_size + cluster - 1) / cluster;
  const std::size_t tables = (clusters + per_table - 1) / per_table;
  const std::size_t l1_clusters = (tables * 8 + cluster - 1) / cluster;

  // What each guest cluster is.
  enum class State { unallocated, zero, zero_allocated, data, compressed };
  std::vector<State> states(clusters);
  for (auto& state : states) {
    if (!chance(layout.allocated)) {
      state = layout.version >= 3 && chance(0.4)
                  ? (chance(0.5) ? State::zero : State::zero_allocated)
                  : State::unallocated;
    } else {
      state = chance(layout.compressed) ? State::compressed : State::data;
    }
  }

  // The file is made of units of whole clusters: the L1 table, an L2 table, a data cluster, or a
  // pack of compressed clusters one after the other at byte granularity.
  struct Unit {
    enum Kind { l1, table, data, pack, junk } kind;
    std::size_t first;                // table number or guest cluster
    std::vector<std::size_t> guests;  // of a pack
    std::size_t order_key;
  };
  std::vector<Unit> data_units;
  std::vector<std::size_t> guests(clusters);
  std::iota(guests.begin(), guests.end(), 0);
  if (layout.shuffle_data) std::shuffle(guests.begin(), guests.end(), random);
  std::vector<std::size_t> pack;
  const auto close_pack = [&] {
    if (!pack.empty()) data_units.push_back({Unit::pack, pack.front(), pack, 0});
    pack.clear();
  };
  for (const std::size_t g : guests) {
    if (states[g] == State::data || states[g] == State::zero_allocated) {
      if (chance(0.3)) close_pack();
      data_units.push_back({Unit::data, g, {}, 0});
    } else if (states[g] == State::compressed) {
      if (!layout.shuffle_data && !pack.empty() && pack.back() / per_table != g / per_table)
        close_pack();
      pack.push_back(g);
      if (chance(0.05)) close_pack();
    }
    if (chance(0.02)) data_units.push_back({Unit::junk, 0, {}, 0});  // leaked
  }
  close_pack();

  using Order = Qcow2Layout::Order;
  std::vector<Unit> units;
  const Unit l1_unit{Unit::l1, 0, {}, 0};
  if (layout.order != Order::tables_last) units.push_back(l1_unit);
  if (layout.order == Order::tables_first)
    for (std::size_t t = 0; t < tables; ++t) units.push_back({Unit::table, t, {}, 0});
  std::vector<bool> placed(tables, layout.order != Order::interleaved);
  for (auto& unit : data_units) {
    if (unit.kind != Unit::junk && !placed[unit.first / per_table]) {
      placed[unit.first / per_table] = true;
      units.push_back({Unit::table, unit.first / per_table, {}, 0});
    }
    units.push_back(unit);
  }
  if (layout.order == Order::interleaved)
    for (std::size_t t = 0; t < tables; ++t)
      if (!placed[t]) units.push_back({Unit::table, t, {}, 0});
  if (layout.order == Order::tables_last || layout.order == Order::shuffled)
    for (std::size_t t = 0; t < tables; ++t) units.push_back({Unit::table, t, {}, 0});
  if (layout.order == Order::tables_last) units.push_back(l1_unit);
  if (layout.order == Order::shuffled) std::shuffle(units.begin(), units.end(), random);

  BuiltQcow2 built;
  built.disk.assign(clusters * cluster, std::byte{0});
  built.file.assign(2 * cluster, std::byte{0});  // header, refcount table
  std::vector<std::uint64_t> table_at(tables);
  std::vector<std::uint64_t> entries(clusters * 2, 0);
  std::uint64_t l1_at = 0;
  const auto content = [&](std::size_t g, bool compressible) {
    std::vector<std::byte> bytes(cluster);
    const unsigned kinds = compressible ? 2 + static_cast<unsigned>(random() % 30) : 256;
    for (auto& byte : bytes) byte = static_cast<std::byte>(random() % kinds);
    std::memcpy(bytes.data(), &g, std::min(sizeof g, bytes.size()));
    return bytes;
  };
  for (const auto& unit : units) {
    built.file.resize((built.file.size() + cluster - 1) / cluster * cluster);
    const std::uint64_t at = built.file.size();
    switch (unit.kind) {
      case Unit::l1:
        l1_at = at;
        built.file.resize(at + l1_clusters * cluster);
        break;
      case Unit::table:
        table_at[unit.first] = at;
        built.file.resize(at + cluster);
        break;
      case Unit::junk: {
        const auto bytes = content(0, false);
        built.file.insert(built.file.end(), bytes.begin(), bytes.end());
        break;
      }
      case Unit::data: {
        const std::size_t g = unit.first;
        const auto bytes = content(g, false);
        built.file.insert(built.file.end(), bytes.begin(), bytes.end());
        std::uint64_t flags = 0, bitmap = 0;
        if (layout.extended_l2) {
          const std::size_t sub = cluster / 32;
          for (unsigned n = 0; n < 32; ++n) {
            const bool data = states[g] == State::data && chance(0.6);
            if (data) {
              bitmap |= 1ULL << n;
              std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(n * sub), sub,
                          built.disk.begin() + static_cast<std::ptrdiff_t>(g * cluster + n * sub));
            } else if (chance(0.5)) {
              bitmap |= 1ULL << (32 + n);
            }
          }
        } else if (states[g] == State::zero_allocated) {
          flags = 1;
        } else {
          std::copy(bytes.begin(), bytes.end(),
                    built.disk.begin() + static_cast<std::ptrdiff_t>(g * cluster));
        }
        entries[2 * g] = at | flags | (1ULL << 63);
        entries[2 * g + 1] = bitmap;
        break;
      }
      case Unit::pack:
        for (const std::size_t g : unit.guests) {
          const auto bytes = content(g, true);
          const auto small = detail::deflate_cluster(bytes, layout.zstd);
          const std::uint64_t start = built.file.size();
          built.file.insert(built.file.end(), small.begin(), small.end());
          std::copy(bytes.begin(), bytes.end(),
                    built.disk.begin() + static_cast<std::ptrdiff_t>(g * cluster));
          const std::uint64_t sectors = ((start + small.size() - 1) >> 9) - (start >> 9);
          const unsigned offset_bits = 62 - (layout.cluster_bits - 8);
          entries[2 * g] = (1ULL << 62) | start | (sectors << offset_bits);
        }
        break;
    }
  }
  for (std::size_t g = 0; g < clusters; ++g) {
    if (states[g] == State::zero) {
      if (layout.extended_l2)
        entries[2 * g + 1] = 0xffffffffULL << 32;
      else
        entries[2 * g] = 1;
    }
    const std::size_t at = table_at[g / per_table] + g % per_table * entry_size;
    put_be(built.file, at, entries[2 * g], 8);
    if (layout.extended_l2) put_be(built.file, at + 8, entries[2 * g + 1], 8);
  }
  for (std::size_t t = 0; t < tables; ++t)
    put_be(built.file, l1_at + t * 8, table_at[t] | (1ULL << 63), 8);
  built.disk.resize(layout.virtual_size);

  auto& file = built.file;
  put_be(file, 0, 0x514649fb, 4);
  put_be(file, 4, layout.version, 4);
  put_be(file, 20, layout.cluster_bits, 4);
  put_be(file, 24, layout.virtual_size, 8);
  put_be(file, 36, tables, 4);
  put_be(file, 40, l1_at, 8);
  put_be(file, 48, cluster, 8);  // refcount table: one empty cluster
  put_be(file, 56, 1, 4);
  if (layout.version >= 3) {
    put_be(file, 72, (layout.zstd ? 8U : 0U) | (layout.extended_l2 ? 16U : 0U), 8);
    put_be(file, 96, 4, 4);
    put_be(file, 100, 112, 4);
    put_be(file, 104, layout.zstd ? 1 : 0, 1);
  }
  return built;
}

}  // namespace ingot::test
