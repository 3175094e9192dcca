// vmdk, vhd, vhdx, vdi: parked whole, verified, checked by our own bounded readers, and only then
// read by qemu-img.
//
// qemu-img gets no file and no device: it reads the image from one socket and writes the decoded
// disk to another (NBD, served here), both inherited, as nobody, in an empty network namespace, and
// may not write any file. So it can neither open what a hostile image names nor reach past the
// parked file, needs no second descriptor of the claimed disk, and its output passes through the
// same sink and commit rules as every other decoder's.
//
// `--target-is-zero` lets it send data only: whatever it does not send is zeroed by SinkExport, in
// runs as long as they are. Without it qemu-img 7.2 first zeroes the whole target and then writes.
// Its memory was measured for every format: RLIMIT_AS 256 MiB is enough; it gets 1 GiB.
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <thread>

#include "disk/core/subprocess.hpp"
#include "disk/core/units.hpp"
#include "imaging/decoders.hpp"
#include "imaging/foreign_header.hpp"
#include "imaging/nbd_server.hpp"
#include "imaging/parked_file.hpp"
#include "imaging/qemu_img_exports.hpp"
#include "imaging/qemu_img_info.hpp"

namespace ingot::imaging {
namespace {

using Clock = std::chrono::steady_clock;

// Enough of a file's start for every header; vhdx has its metadata in the first 4 MiB as a rule.
constexpr std::size_t kHeadLimit = 8 * MiB;
constexpr std::uint64_t kAddressSpace = GiB;
constexpr std::chrono::milliseconds kInfoTimeout{60'000};
// Runs of zeros shorter than this inside data are written, not zeroed: small zeroes cost more.
constexpr const char* kSparseRun = "64k";

// One export served on a thread of its own, for one run of qemu-img.
class Served {
 public:
  static Result<std::unique_ptr<Served>> start(NbdExport& what, FirstError& job) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      return tl::unexpected(system_error(Errc::image_convert, "making a socket pair", errno));
    return std::unique_ptr<Served>(new Served(UniqueFd(ends[0]), UniqueFd(ends[1]), what, job));
  }
  ~Served() { (void)finish(); }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  /// qemu-img's end, to be inherited.
  [[nodiscard]] int client() const noexcept { return client_.get(); }

  /// Ends the service, after the client has gone. What went wrong on our side, if anything did.
  Result<void> finish() {
    client_.reset();
    if (thread_.joinable()) thread_.join();
    return result_;
  }

 private:
  Served(UniqueFd ours, UniqueFd client, NbdExport& what, FirstError& job)
      : client_(std::move(client)), server_(std::move(ours), what), job_(job) {
    thread_ = std::thread([this] {
      // Nothing is read or written after a stop; the connection's end wakes a waiting server.
      const std::stop_callback stop(job_.token(), [this] { server_.stop(); });
      result_ = serve();
      if (!result_) job_.report(result_.error());
    });
  }

  Result<void> serve() {
    try {
      return server_.serve();
    } catch (const std::exception& error) {  // no memory
      return fail(Errc::internal_bug, fmt::format("serving qemu-img: {}", error.what()));
    }
  }

  UniqueFd client_;
  NbdServer server_;
  FirstError& job_;
  Result<void> result_;
  std::thread thread_;
};

// What qemu-img said, fit for one line: no control characters, no options of ours, bounded.
std::string complaint(std::string text, const std::string& options) {
  for (std::size_t at; (at = text.find(options)) != std::string::npos;)
    text.replace(at, options.size(), "image");
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  constexpr std::size_t kShown = 300;
  if (text.size() > kShown) text = text.substr(0, kShown) + "…";
  return text;
}

class Converter {
 public:
  Converter(std::string program, Scratch& scratch, std::uint64_t file_size, ImageFormat format,
            std::chrono::seconds timeout, const DecodeContext& context)
      : program_(std::move(program)),
        source_(scratch, file_size),
        // The source is always the first descriptor inherited.
        options_(fmt::format("driver={},read-only=on,file.driver=nbd,file.export={},"
                             "file.server.type=fd,file.server.str=3",
                             qemu_driver(format), source_.name())),
        format_(format),
        deadline_(Clock::now() + std::min(timeout, std::chrono::seconds(365 * 86400))),
        context_(context) {}

  // Has qemu-img look at the image; its virtual size.
  Result<std::uint64_t> info() {
    INGOT_TRY_ASSIGN(const auto source, Served::start(source_, context_.job));
    auto outcome = run({program_, "info", "--output=json", "--image-opts", options_},
                       {source->client()}, kInfoTimeout);
    INGOT_TRY(source->finish());
    INGOT_TRY_ASSIGN(const auto text, judged(std::move(outcome), "info"));
    return judge_qemu_info(text, format_);
  }

  Result<void> convert(std::uint64_t virtual_size) {
    SinkExport target(context_.sink, virtual_size);
    INGOT_TRY_ASSIGN(const auto source, Served::start(source_, context_.job));
    INGOT_TRY_ASSIGN(const auto sink, Served::start(target, context_.job));
    auto outcome =
        run({program_, "convert", "--image-opts", "--target-image-opts", "-n", "--target-is-zero",
             "-S", kSparseRun, options_,
             fmt::format("driver=nbd,export={},server.type=fd,server.str=4", target.name())},
            {source->client(), sink->client()}, std::chrono::milliseconds::max());
    // A failing sink is the cause, qemu-img's complaint about its connection the echo.
    const auto written = sink->finish();
    const auto read = source->finish();
    INGOT_TRY(written);
    INGOT_TRY(read);
    INGOT_TRY(judged(std::move(outcome), "convert"));
    return target.finish();
  }

 private:
  Result<SubprocessOutcome> run(std::vector<std::string> argv, std::vector<int> inherit,
                                std::chrono::milliseconds at_most) {
    const auto left =
        std::max(std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()),
                 std::chrono::milliseconds(0));
    SubprocessRequest request;
    request.argv = std::move(argv);
    request.inherit = std::move(inherit);
    request.timeout = std::min(left, at_most);
    request.address_space = kAddressSpace;
    request.cpu_seconds =
        static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(left).count()) * 4 + 10;
    request.error_code = Errc::image_convert;
    return run_subprocess(request, context_.job.token());
  }

  // qemu-img's standard output if it succeeded.
  Result<std::string> judged(Result<SubprocessOutcome> outcome, std::string_view verb) const {
    if (!outcome) return tl::unexpected(context_.job.or_else(outcome.error()));
    const auto what = fmt::format("qemu-img {} of the {} image", verb, name(format_));
    if (outcome->end == SubprocessOutcome::End::timed_out)
      return fail(Errc::image_convert, fmt::format("{}: not done within the time limit", what),
                  "allow more time for the conversion, or serve the image as qcow2");
    if (!outcome->ok())
      return fail(Errc::image_convert,
                  fmt::format("{}: {}: {}", what, outcome->describe_end(),
                              complaint(std::move(outcome->err), options_)),
                  "check the image where it was made, with qemu-img check");
    if (outcome->output_truncated)
      return fail(Errc::image_convert, fmt::format("{}: it said too much", what));
    return std::move(outcome->out);
  }

  const std::string program_;
  ScratchExport source_;
  const std::string options_;
  const ImageFormat format_;
  const Clock::time_point deadline_;
  const DecodeContext& context_;
};

// The room the file is parked in must not be where the decoded disk goes. It lies beyond what the
// header said while the file began to arrive (`kept`, bytes); a header that could not say so in
// time (0) is checked against the room itself.
Result<void> check_room(Scratch& scratch, std::uint64_t kept, std::uint64_t virtual_size) {
  if (kept != 0) return {};
  INGOT_TRY_ASSIGN(const auto window, scratch.window());
  const bool on_target = window.block_device || window.start != 0;
  if (!on_target || virtual_size <= window.start) return {};
  return fail(Errc::image_not_streamable,
              fmt::format("the decoded disk of {} would overwrite the image file parked in {}",
                          format_bytes(virtual_size), scratch.describe()),
              "give a --scratch-dir with room for the image file, or use a larger disk");
}

Result<std::uint64_t> decode(ByteStream& in, ImageFormat format,
                             const std::function<Result<void>()>& verify,
                             std::chrono::seconds timeout, const DecodeContext& context) {
  const auto program = find_program("qemu-img");
  if (!program)
    return fail(
        Errc::image_convert,
        fmt::format("reading a {} image takes qemu-img, which is not installed", name(format)),
        "install qemu-utils, or serve the image as qcow2 or raw");

  // What can be refused at once is refused before anything is stored. The rest is asked again, of
  // verified bytes.
  ParkedFile file(in,
                  std::min(kHeadLimit, std::max<std::size_t>(context.hold_limit, kStreamBlock)));
  INGOT_TRY_ASSIGN(const auto early, check_foreign_header(format, file.view()));
  if (early.virtual_size == 0 && !in.size())
    return fail(Errc::image_not_streamable,
                fmt::format("neither the server nor the start of the {} image says how much room "
                            "it needs",
                            name(format)),
                "serve it with a Content-Length, or as qcow2 or raw");

  INGOT_TRY_ASSIGN(Scratch* const scratch,
                   context.scratch.open(early.virtual_size, in.size().value_or(0)));
  context.listener.on_note(
      fmt::format("{} cannot be streamed: the file is kept in {} until it is verified, then "
                  "converted",
                  name(format), scratch->describe()));
  // Parking overwrites the target's far end, so the target is made unbootable first, like any other
  // that is being written to.
  INGOT_TRY(context.sink.begin(early.virtual_size > 0 ? std::optional(early.virtual_size)
                                                      : std::nullopt));
  INGOT_TRY(file.park(*scratch, context.job.token()));
  INGOT_TRY(verify());

  INGOT_TRY_ASSIGN(const auto header, check_foreign_header(format, file.view()));
  if (!header.complete)
    return fail(Errc::internal_bug, "the parked image's header could not be checked");
  Converter converter(*program, *scratch, file.size(), format, timeout, context);
  INGOT_TRY_ASSIGN(const auto virtual_size, converter.info());
  if (virtual_size > header.virtual_size)
    return fail(Errc::image_corrupt,
                fmt::format("qemu-img finds a disk of {} bytes, the image's header says {}",
                            virtual_size, header.virtual_size));
  INGOT_TRY(check_room(*scratch, early.virtual_size, virtual_size));

  context.counters.virtual_size = static_cast<std::int64_t>(virtual_size);
  INGOT_TRY(converter.convert(virtual_size));
  return virtual_size;
}

}  // namespace

Result<std::uint64_t> decode_with_qemu_img(ByteStream& in, ImageFormat format,
                                           const std::function<Result<void>()>& verify,
                                           std::chrono::seconds timeout,
                                           const DecodeContext& context) {
  try {
    return decode(in, format, verify, timeout, context);
  } catch (const std::exception& error) {  // no memory, no thread
    return fail(Errc::internal_bug,
                fmt::format("converting the {} image: {}", name(format), error.what()));
  }
}

}  // namespace ingot::imaging
