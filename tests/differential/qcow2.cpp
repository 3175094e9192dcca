// The same qcow2 file to our decoder and to `qemu-img convert`: both refuse it, or both make the
// same disk of it, or the difference is one that imaging/qcow2/README.md explains. README.md of
// this folder has the options.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>

#include "imaging/decoders.hpp"
#include "tests/differential/base_images.hpp"
#include "tests/differential/edits.hpp"
#include "tests/differential/reasons.hpp"
#include "tests/support/memory_scratch.hpp"
#include "tests/support/memory_stream.hpp"
#include "tests/support/recording_sink.hpp"

namespace ingot::differential {
namespace {

constexpr std::uint64_t kTarget = 16 * MiB;  // a larger disk takes too long to be compared
constexpr const char* kQemuSeconds = "30";

struct Options {
  std::uint64_t seconds = 60;
  std::uint64_t cases = UINT64_MAX;
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> only = {};  // this case alone
  std::string keep;                        // folder for the files of unexplained differences
};

class Silent final : public JobListener {
  void on_phase(Phase) override {}
  void on_retry(int, const std::string&, std::uint64_t) override {}
  void on_note(const std::string&) override {}
};

// What one of the two made of a file.
struct Outcome {
  bool too_large = false;  // understood, but not to be compared
  std::string refusal;     // "": accepted
  File disk;
};

// How our decoder is fed is drawn as well: it must not matter.
Outcome with_ingot(const File& file, std::mt19937_64& random) {
  FirstError job;
  test::MemoryStreamOptions options;
  options.slice_size = (random() % 2 == 0 ? 1 : 16) * 64 * KiB;
  options.known_size = random() % 3 != 0;
  options.ranges = options.known_size && random() % 2 == 0;
  options.stop = job.token();
  const std::size_t hold_limit = random() % 2 == 0 ? 4 * MiB : 16 * KiB;
  test::MemoryStream stream(file, options);
  test::RecordingSink sink(kTarget, 8, job.token());
  test::MemoryScratch scratch(64 * MiB);
  ProgressCounters counters;
  Silent listener;
  const auto decoded =
      imaging::decode_qcow2(stream, {sink, scratch, counters, listener, job, hold_limit, 1});
  Outcome outcome;
  if (!decoded) {
    const Error error = job.or_else(decoded.error());
    outcome.too_large = error.code() == Errc::device_too_small;
    outcome.refusal = std::string(name(error.code())) + ": " + error.message();
    return outcome;
  }
  if (!sink.complete(*decoded)) throw std::runtime_error("not every byte of the disk was covered");
  outcome.disk = sink.image();
  return outcome;
}

Outcome with_qemu(const std::string& image, const std::string& dir) {
  const std::string raw = dir + "/case.raw";
  const std::string errors = dir + "/case.err";
  std::filesystem::remove(raw);
  std::vector<std::string> words = {"timeout", kQemuSeconds, "qemu-img", "convert", "-f",
                                    "qcow2",   "-O",         "raw",      image,     raw};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t child = 0;
  const int started = ::posix_spawnp(&child, "timeout", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (started != 0 || ::waitpid(child, &status, 0) != child)
    throw std::runtime_error("cannot run qemu-img");
  Outcome outcome;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    outcome.disk = read_file(raw);
    return outcome;
  }
  const File said = read_file(errors);
  outcome.refusal.assign(reinterpret_cast<const char*>(said.data()), said.size());
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
    outcome.refusal = "it crashed or took too long: " + outcome.refusal;
  return outcome;
}

// All cases together.
class Run {
 public:
  Run(Options options, std::string dir)
      : options_(std::move(options)), dir_(std::move(dir)), bases_(images_of_qemu(dir_)) {}

  int operator()() {
    if (options_.only) {
      one(*options_.only, dir_);
    } else {
      const unsigned count = std::max(std::thread::hardware_concurrency(), 1U);
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < count; ++i) threads.emplace_back([this, i] { many(i); });
    }
    std::string explained;
    std::uint64_t sum = 0;
    for (const auto& [name, times] : explained_) {
      sum += times;
      explained += (explained.empty() ? " (" : ", ") + name + ": " + std::to_string(times);
    }
    std::printf(
        "qcow2 differential, seed %lu: %lu cases: %lu read alike, %lu refused alike, "
        "%lu too large to compare\n",
        options_.seed, cases_, accepted_, refused_, too_large_);
    std::printf("qcow2 differential: %lu cases, %lu differences unexplained, %lu explained%s%s\n",
                cases_, unexplained_, sum, explained.c_str(), explained.empty() ? "" : ")");
    return unexplained_ == 0 && cases_ > 0 ? 0 : 1;
  }

 private:
  void many(unsigned thread) {
    const std::string dir = dir_ + "/" + std::to_string(thread);
    std::filesystem::create_directory(dir);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options_.seconds);
    while (std::chrono::steady_clock::now() < end) {
      const std::uint64_t number = next_++;
      if (number >= options_.cases) return;
      one(number, dir);
    }
  }

  void one(std::uint64_t number, const std::string& dir) {
    std::seed_seq seed{options_.seed, number};
    std::mt19937_64 random(seed);
    File file = random() % 3 == 0 ? built_image(random) : bases_[random() % bases_.size()];
    Editor editor(file, random);
    // Now and then none: then both read it.
    for (std::uint64_t edits = random() % 16 == 0 ? 0 : 1 + random() % 3; edits > 0; --edits)
      editor.edit();
    const std::string image = dir + "/case.qcow2";
    write_file(image, file);
    try {
      const Outcome ours = with_ingot(file, random);
      judge(number, image, editor.done(), ours, ours.too_large ? Outcome{} : with_qemu(image, dir));
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex_);
      ++cases_;
      difference(number, image, editor.done(), error.what());
    }
  }

  void judge(std::uint64_t number, const std::string& image, const std::string& edits,
             const Outcome& ours, const Outcome& qemus) {
    const std::lock_guard lock(mutex_);
    ++cases_;
    if (ours.too_large) {
      ++too_large_;
    } else if (!ours.refusal.empty() && !qemus.refusal.empty()) {
      ++refused_;
    } else if (ours.refusal.empty() && qemus.refusal.empty()) {
      ++accepted_;
      if (ours.disk.size() != qemus.disk.size())
        return difference(number, image, edits,
                          "disks of " + std::to_string(ours.disk.size()) + " (ingot) and " +
                              std::to_string(qemus.disk.size()) + " bytes");
      const auto [at, theirs] =
          std::mismatch(ours.disk.begin(), ours.disk.end(), qemus.disk.begin());
      if (at != ours.disk.end())
        difference(number, image, edits,
                   "the disks differ from byte " + std::to_string(at - ours.disk.begin()));
    } else {
      const bool ingot_refuses = qemus.refusal.empty();
      const std::string& refusal = ingot_refuses ? ours.refusal : qemus.refusal;
      if (const Reason* reason = explain(ingot_refuses, refusal))
        ++explained_[reason->name];
      else
        difference(number, image, edits,
                   std::string(ingot_refuses ? "only ingot" : "only qemu-img") +
                       " refuses it: " + refusal);
    }
  }

  // The lock is held.
  void difference(std::uint64_t number, const std::string& image, const std::string& edits,
                  const std::string& what) {
    ++unexplained_;
    std::printf("case %lu: %s\n  edits: %s\n  again: --seed %lu --case %lu --keep DIR\n", number,
                what.c_str(), edits.c_str(), options_.seed, number);
    if (!options_.keep.empty()) {
      const std::string kept = options_.keep + "/case-" + std::to_string(number) + ".qcow2";
      std::filesystem::copy_file(image, kept, std::filesystem::copy_options::overwrite_existing);
      std::printf("  file:  %s\n", kept.c_str());
    }
  }

  const Options options_;
  const std::string dir_;
  const std::vector<File> bases_;
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;
  std::uint64_t cases_ = 0, accepted_ = 0, refused_ = 0, too_large_ = 0, unexplained_ = 0;
  std::map<std::string, std::uint64_t> explained_;
};

// The table that explains the differences has a row for each, and no other.
void check_table() {
  const File bytes = read_file(INGOT_SOURCE_DIR "/imaging/qcow2/README.md");
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Reason& reason : kReasons)
    if (text.find("\n| " + std::string(reason.name) + " | ") == std::string::npos)
      throw std::runtime_error("imaging/qcow2/README.md does not explain '" +
                               std::string(reason.name) + "'");
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) throw std::runtime_error(name + " needs a value");
    const std::string text = argv[i + 1];
    if (name == "--keep")
      options.keep = text;
    else if (name == "--seconds")
      options.seconds = std::stoull(text);
    else if (name == "--cases")
      options.cases = std::stoull(text);
    else if (name == "--seed")
      options.seed = std::stoull(text);
    else if (name == "--case")
      options.only = std::stoull(text);
    else
      throw std::runtime_error("no option " + name);
  }
  if (!options.keep.empty()) std::filesystem::create_directories(options.keep);
  return options;
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  check_table();
  std::string dir = (::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/var/tmp") +
                    std::string("/ingot-differential-XXXXXX");
  if (::mkdtemp(dir.data()) == nullptr) throw std::runtime_error("cannot make " + dir);
  const struct Removed {
    const std::string& path;
    ~Removed() { std::filesystem::remove_all(path); }
  } removed{dir};
  return Run(options, dir)();
}

}  // namespace
}  // namespace ingot::differential

int main(int argc, char** argv) {
  try {
    return ingot::differential::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "qcow2 differential: %s\n", error.what());
    return 2;
  }
}
