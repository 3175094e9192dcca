/// Inflater: one compressed qcow2 cluster into exactly one cluster.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "imaging/qcow2/header.hpp"

namespace ingot::imaging::qcow2 {

/// Holds a decompressor and reuses it; one for each thread.
///
/// The input may end with bytes that are not part of the stream: a cluster's length is known in
/// sectors only. Source: qcow2.txt, "Compressed Clusters Descriptor".
class Inflater {
 public:
  explicit Inflater(ClusterCompression compression);
  ~Inflater();
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// How many bytes of `in` it took to fill `out`; nothing when the stream is damaged or does not
  /// hold that much. What a deflate stream holds beyond is cut off, as by QEMU; a zstd frame that
  /// holds more is refused.
  [[nodiscard]] std::optional<std::size_t> inflate(std::span<const std::byte> in,
                                                   std::span<std::byte> out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ingot::imaging::qcow2
