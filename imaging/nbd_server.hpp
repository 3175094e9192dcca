/// A small NBD server for one client on one socket: how qemu-img reads an image file it may not
/// open, and hands over a decoded disk it may not write.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "disk/core/error.hpp"
#include "disk/core/unique_fd.hpp"

namespace ingot::imaging {

/// What one connection serves. Called on the server's thread only, one request at a time, with
/// ranges that are not empty and lie inside [0, size).
class NbdExport {
 public:
  /// Sends bytes to the client. Errors: the connection is gone.
  using Send = std::function<Result<void>(std::span<const std::byte>)>;
  /// Fills the span with the client's next bytes. Errors: the connection is gone.
  using Receive = std::function<Result<void>(std::span<std::byte>)>;

  virtual ~NbdExport() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;  ///< bytes
  [[nodiscard]] virtual bool read_only() const = 0;

  /// Any error ends the connection, and is what NbdServer::serve() returns.
  [[nodiscard]] virtual Result<void> read(std::uint64_t offset, std::uint64_t length,
                                          const Send& send) = 0;
  [[nodiscard]] virtual Result<void> write(std::uint64_t offset, std::uint64_t length,
                                           const Receive& receive) = 0;
  [[nodiscard]] virtual Result<void> zero(std::uint64_t offset, std::uint64_t length) = 0;
};

/// Speaks the fixed newstyle handshake (EXPORT_NAME, GO, INFO, LIST, ABORT) and simple replies
/// (READ, WRITE, WRITE_ZEROES, FLUSH, DISC).
///
/// Limits   options of 4 KiB and 64 of them, requests of 2 MiB (WRITE_ZEROES, which carries no
///          data: the whole export). The client is treated as hostile: anything outside the
///          protocol or the export ends the connection.
/// Threads  serve() runs on one; stop() may come from any other.
/// Memory   none beyond what the export uses.
/// Source   https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
class NbdServer {
 public:
  /// `target` outlives the server. `socket` is one end of a connected stream socket.
  NbdServer(UniqueFd socket, NbdExport& target);

  /// Serves until the client disconnects, which is success whether it said so or not.
  /// Errors: Errc::image_convert when the client breaks the protocol, and what the export returns.
  [[nodiscard]] Result<void> serve();
  /// Ends the connection: serve() returns soon, unless the export is busy.
  void stop() noexcept;

 private:
  enum class Next { option, request, done };
  Result<Next> handshake();
  Result<Next> option();
  Result<void> describe_export(std::uint32_t option);
  Result<Next> request();
  Result<void> option_reply(std::uint32_t option, std::uint32_t type,
                            std::span<const std::byte> payload);
  Result<void> reply(std::uint64_t cookie, std::uint32_t error);
  Result<void> send(std::span<const std::byte> data);
  Result<void> receive(std::span<std::byte> data);
  [[nodiscard]] std::uint16_t transmission_flags() const;

  UniqueFd socket_;
  NbdExport& export_;
  bool no_zeroes_ = false;
  bool client_gone_ = false;
};

}  // namespace ingot::imaging
