/// HttpRangeReader: parts of the object being streamed, over a connection of its own.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "imaging/byte_stream.hpp"
#include "imaging/http_client.hpp"
#include "imaging/http_transfer.hpp"
#include "imaging/source.hpp"

namespace ingot::imaging {

/// Asks the server that gave the stream's first answer, at the address it redirected to, and checks
/// every answer against that: exactly the range asked for, the same total, ETag and Last-Modified.
/// Connects when it is first used, and keeps the connection.
///
/// Threads  one; synchronous in it, cancelled by `stop`.
/// Errors   source.changed (final), source.* after retries within the deadline, which counts since
///          the last byte this read got.
class HttpRangeReader final : public RangeReader {
 public:
  /// Whether `object` can be read this way: a known size, ranges offered, and an ETag or
  /// Last-Modified to recognise it by.
  static bool possible(const ServedObject& object);

  /// `options` outlives the reader.
  HttpRangeReader(ServedObject object, const TransferOptions& options, std::stop_token stop);
  ~HttpRangeReader() override;

  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override;

 private:
  Attempt read_once(std::uint64_t offset, std::span<std::byte> out, std::size_t& got);

  const ServedObject object_;
  const TransferOptions& options_;
  const std::stop_token stop_;
  std::unique_ptr<HttpClient> client_;
  bool at_redirect_target_ = true;
};

}  // namespace ingot::imaging
