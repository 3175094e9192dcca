#include "disk/erase/secure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "disk/core/subprocess.hpp"
#include "disk/core/units.hpp"
#include "disk/erase/ata.hpp"
#include "disk/erase/nvme.hpp"

namespace ingot::disk {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kLongest = 24h;    // of any erase
constexpr auto kLeast = 2h;       // of one for which the disk's estimate is short, or missing
constexpr auto kQuestion = 2min;  // what changes no data: setting a password, taking it away
constexpr auto kPoll = 1s;        // of the sanitize log
constexpr auto kNoteEvery = 5min;
// hdparm and nvme see the disk as this: the descriptor that was claimed, not a name.
constexpr const char* kDevice = "/proc/self/fd/3";
// Not a secret: a disk that is left locked can be opened with it by anybody, which is what counts.
constexpr const char* kPassword = "NULL";

std::chrono::milliseconds limit_of(std::chrono::minutes expected) {
  if (expected.count() == 0) return kLongest;
  return std::clamp<std::chrono::milliseconds>(3 * expected, kLeast, kLongest);
}

// Says now and then that it is still going on.
class Reminder {
 public:
  Reminder(Watch& watch, std::string what, std::chrono::minutes expected)
      : thread_([&watch, what = std::move(what), expected](std::stop_token stop) {
          const auto begun = Clock::now();
          std::mutex mutex;
          std::condition_variable_any never;
          std::unique_lock lock(mutex);
          while (!never.wait_for(lock, stop, kNoteEvery, [&] { return stop.stop_requested(); })) {
            const auto spent = std::chrono::floor<std::chrono::minutes>(Clock::now() - begun);
            watch.note(fmt::format(
                "{}: going on for {} minutes{}", what, spent.count(),
                expected.count() > 0 ? fmt::format(" of about {}", expected.count()) : ""));
          }
        }) {}

 private:
  std::jthread thread_;
};

Result<std::string> program(std::string_view name, std::string_view package) {
  if (auto found = find_program(name)) return *std::move(found);
  return fail(Errc::device_unsupported,
              fmt::format("secure erase needs the program {}, which is not installed", name),
              fmt::format("install {} (apt-get install {})", package, package));
}

// The last line of what a program said, without control characters.
std::string last_words(const SubprocessOutcome& outcome) {
  std::string_view text = outcome.err.empty() ? outcome.out : outcome.err;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (const auto line = text.rfind('\n'); line != std::string_view::npos)
    text.remove_prefix(line + 1);
  std::string words(text.substr(0, 200));
  std::ranges::replace_if(
      words, [](char c) { return c < ' ' || c > '~'; }, '?');
  return words.empty() ? outcome.describe_end() : outcome.describe_end() + ": " + words;
}

// Nothing stops it: what the disk has begun it ends, and a killed program only could not tell.
Result<void> run_on(const Claim& target, std::vector<std::string> argv,
                    std::chrono::milliseconds limit, const std::string& what) {
  SubprocessRequest request;
  request.argv = std::move(argv);
  request.inherit = {target.fd.get()};
  request.timeout = limit;
  request.drop_privileges = false;  // the ioctls of a disk are root's
  request.error_code = Errc::write_erase;
  INGOT_TRY_ASSIGN(const SubprocessOutcome outcome, run_subprocess(request, {}));
  if (outcome.ok()) return {};
  return fail(Errc::write_erase,
              fmt::format("{}: {} failed: {}", target.path, what, last_words(outcome)),
              "check the disk's health (dmesg, smartctl); --method zero, or destroy the disk");
}

Result<void> run_nvme(const Claim& target, const SecureErase& erase, Watch& watch) {
  INGOT_TRY_ASSIGN(std::string nvme, program("nvme", "nvme-cli"));
  const auto limit = limit_of(erase.expected);
  std::vector<std::string> argv = {std::move(nvme), erase.program.front(), kDevice};
  argv.insert(argv.end(), erase.program.begin() + 1, erase.program.end());
  if (erase.way == SecureErase::Way::nvme_format) {
    argv.push_back(fmt::format(
        "--timeout={}", std::chrono::duration_cast<std::chrono::milliseconds>(limit).count()));
    // The program ends by its own limit first, the kernel's for the command.
    return run_on(target, std::move(argv), limit + kQuestion, erase.how);
  }
  INGOT_TRY(run_on(target, std::move(argv), kQuestion, erase.how));
  const auto end = Clock::now() + limit;
  std::uint64_t told = 0;
  for (;;) {
    INGOT_TRY_ASSIGN(const SanitizeStatus status,
                     ask_sanitize_status(target.fd.get(), target.path));
    using State = SanitizeStatus::State;
    if (status.state == State::completed) return {};
    if (status.state != State::running)
      return fail(Errc::write_erase,
                  fmt::format("{}: {} failed in the disk", target.path, erase.how),
                  "nvme sanitize-log says more; the disk takes no data until a sanitize succeeds");
    const auto done = static_cast<std::uint64_t>(status.done * static_cast<double>(target.size));
    if (done > told) watch.erased(done - std::exchange(told, done));
    if (watch.stop().stop_requested())
      return fail(Errc::cancelled,
                  fmt::format("cancelled; but {} goes on sanitizing by itself ({:.0f} % done), and "
                              "takes no data before it has ended",
                              target.path, 100 * status.done));
    if (Clock::now() > end)
      return fail(Errc::write_erase,
                  fmt::format("{}: {} did not end within {} hours; the disk goes on", target.path,
                              erase.how, std::chrono::floor<std::chrono::hours>(limit).count()),
                  "nvme sanitize-log says how far it is");
    std::this_thread::sleep_for(kPoll);
  }
}

class AtaErase {
 public:
  AtaErase(const Claim& target, const SecureErase& erase, Watch& watch, std::string hdparm)
      : target_(target), erase_(erase), watch_(watch), hdparm_(std::move(hdparm)) {}

  Result<void> run() {
    if (erase_.locked) {
      // Left by an erase like this one that did not end.
      (void)security("--security-unlock", kQuestion);
      const auto now = ask_ata(target_.fd.get());
      if (!now || now->locked)
        return fail(
            Errc::device_unsupported,
            fmt::format("{} is locked with a password that is not ours", target_.path),
            "unlock it with its password (hdparm --security-disable), or revert it with the "
            "PSID on its label");
    }
    const auto before = ask_ata(target_.fd.get());
    if (before && !before->enabled) INGOT_TRY(security("--security-set-pass", kQuestion));
    auto erased = security(erase_.enhanced ? "--security-erase-enhanced" : "--security-erase",
                           limit_of(erase_.expected));
    const auto after = ask_ata(target_.fd.get());
    if (erased && after && !after->enabled) return {};
    if (erased && !after)
      watch_.note(target_.path + ": the disk does not say any more whether it is locked");
    if (!after || after->enabled) take_password_away();
    const auto last = ask_ata(target_.fd.get());
    const std::string state = !last ? "; whether it is locked now cannot be told"
                              : last->enabled
                                  ? "; it is locked, and opens with the empty password (hdparm "
                                    "--user-master u --security-disable NULL)"
                                  : "; it is not locked";
    if (!erased)
      return fail(Errc::write_erase, erased.error().message() + state, erased.error().advice());
    return fail(Errc::write_erase,
                fmt::format("{}: {} ended, but the disk does not say that it is done{}",
                            target_.path, erase_.how, state),
                "--method zero, or destroy the disk");
  }

 private:
  Result<void> security(const char* option, std::chrono::milliseconds limit) const {
    return run_on(target_, {hdparm_, "--user-master", "u", option, kPassword, kDevice}, limit,
                  fmt::format("hdparm {}", option));
  }

  // A disk must not stay locked.
  void take_password_away() const {
    (void)security("--security-unlock", kQuestion);
    (void)security("--security-disable", kQuestion);
  }

  const Claim& target_;
  const SecureErase& erase_;
  Watch& watch_;
  const std::string hdparm_;
};

}  // namespace

Result<SecureErase> find_secure_erase(const Claim& target) {
  const auto none = [&](std::string_view why) {
    return fail(Errc::device_unsupported,
                fmt::format("{}: this disk has no secure erase: {}", target.path, why),
                "--method zero, or discard");
  };
  if (!target.block_device) return none("it is a file");
  INGOT_TRY_ASSIGN(const auto nvme, ask_nvme(target.fd.get(), target.path));
  if (nvme) {
    INGOT_TRY_ASSIGN(SecureErase erase, choose_nvme_erase(*nvme, target.path));
    INGOT_TRY(program("nvme", "nvme-cli"));
    if (erase.way == SecureErase::Way::nvme_sanitize)
      if (const auto status = ask_sanitize_status(target.fd.get(), target.path)) {
        const std::uint32_t seconds =
            nvme->crypto_sanitize ? status->crypto_seconds : status->block_seconds;
        if (seconds != UINT32_MAX) erase.expected = std::chrono::minutes(seconds / 60 + 1);
      }
    return erase;
  }
  if (const auto ata = ask_ata(target.fd.get())) {
    INGOT_TRY_ASSIGN(const SecureErase erase, choose_ata_erase(*ata, target.path));
    INGOT_TRY(program("hdparm", "hdparm"));
    return erase;
  }
  return none("it is neither an NVMe nor an ATA disk");
}

Result<void> run_secure_erase(const Claim& target, const SecureErase& erase, Watch& watch) {
  INGOT_TRY(watch.not_stopped(target.path));
  watch.note(fmt::format("{}: {}; once begun it cannot be stopped", target.path, erase.how));
  const Reminder reminder(watch, erase.how, erase.expected);
  if (erase.way != SecureErase::Way::ata_security) return run_nvme(target, erase, watch);
  INGOT_TRY_ASSIGN(std::string hdparm, program("hdparm", "hdparm"));
  return AtaErase(target, erase, watch, std::move(hdparm)).run();
}

}  // namespace ingot::disk
