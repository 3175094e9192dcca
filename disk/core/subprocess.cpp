#include "disk/core/subprocess.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "disk/core/unique_fd.hpp"

namespace ingot {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr id_t kNobody = 65534;
// Descriptors are moved above this before they are put in place, so that none overwrites another.
constexpr int kParkedFds = 100;

using Clock = std::chrono::steady_clock;

// ---- in the child, between fork and exec: async-signal-safe calls only, nothing allocates ----

// What the child needs, made before the fork. `report` carries the failing step and errno back.
struct ChildPlan {
  const SubprocessRequest* request;
  char* const* argv;
  char* const* environment;
  int out, err, report;
  pid_t parent;
  bool root;
};

struct ChildFailure {
  int step;
  int error;
};
constexpr std::array<const char*, 9> kSteps = {
    "preparing",        "placing descriptors", "opening /dev/null",
    "setting limits",   "changing directory",  "becoming nobody",
    "binding its life", "closing descriptors", "executing",
};

[[noreturn]] void child_fail(const ChildPlan& plan, int step) {
  const ChildFailure failure{step, errno};
  (void)!::write(plan.report, &failure, sizeof failure);
  ::_exit(127);
}

bool limit(int what, std::uint64_t value) {
  const rlimit both{value, value};
  return ::syscall(SYS_prlimit64, 0, what, &both, nullptr) == 0;
}

[[noreturn]] void child_main(ChildPlan plan) {
  const SubprocessRequest& request = *plan.request;
  // Handlers of ours must not run here, and an ignored SIGPIPE must not be inherited.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::setsid();

  const int report = ::fcntl(plan.report, F_DUPFD_CLOEXEC, kParkedFds);
  if (report < 0) child_fail(plan, 1);
  plan.report = report;
  const int out = ::fcntl(plan.out, F_DUPFD_CLOEXEC, kParkedFds);
  const int err = ::fcntl(plan.err, F_DUPFD_CLOEXEC, kParkedFds);
  if (out < 0 || err < 0) child_fail(plan, 1);
  const auto count = static_cast<int>(request.inherit.size());
  std::array<int, 16> parked{};
  for (int i = 0; i < count; ++i) {
    parked[i] = ::fcntl(request.inherit[i], F_DUPFD_CLOEXEC, kParkedFds);
    if (parked[i] < 0) child_fail(plan, 1);
  }
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) child_fail(plan, 2);
  const int parked_null = ::fcntl(null, F_DUPFD_CLOEXEC, kParkedFds);
  if (parked_null < 0 || ::dup2(parked_null, 0) < 0) child_fail(plan, 2);
  if (::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) child_fail(plan, 1);
  for (int i = 0; i < count; ++i)
    if (::dup2(parked[i], 3 + i) < 0) child_fail(plan, 1);

  if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_AS, request.address_space) ||
      !limit(RLIMIT_CPU, request.cpu_seconds) || !limit(RLIMIT_FSIZE, request.file_size) ||
      !limit(RLIMIT_NOFILE, request.open_files))
    child_fail(plan, 3);
  if (::chdir("/") != 0) child_fail(plan, 4);
  ::umask(077);

  // A second fence: kernels without network namespaces go on without it.
  if (plan.root && request.isolate_network) (void)::unshare(CLONE_NEWNET);
  if (plan.root && request.drop_privileges) {
    // The bare system calls: glibc's wrappers also signal the threads of the process.
    if (::syscall(SYS_setgroups, 0, nullptr) != 0 ||
        ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
        ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0)
      child_fail(plan, 5);
  }
  // After the change of identity, which clears the death signal.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
    child_fail(plan, 6);
  if (::getppid() != plan.parent) ::_exit(127);  // died before the line above took effect
  if (::syscall(SYS_close_range, static_cast<unsigned>(3 + count), ~0U, CLOSE_RANGE_CLOEXEC) != 0)
    child_fail(plan, 7);
  ::execve(plan.argv[0], plan.argv, plan.environment);
  child_fail(plan, 8);
}

// ---- in the parent ----

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe(Errc code) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return tl::unexpected(system_error(code, "making a pipe", errno));
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// One of the program's output streams; keeps the first `limit` bytes and drains the rest.
class Captured {
 public:
  Captured(UniqueFd fd, std::size_t limit) : fd_(std::move(fd)), limit_(limit) {
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool truncated() const { return truncated_; }
  [[nodiscard]] std::string take() { return std::move(text_); }

  // Reads what is there, a bounded amount at a time. Closes itself at the end.
  void drain() {
    std::array<char, 16384> chunk{};
    for (int round = 0; fd_ && round < 16; ++round) {
      const ssize_t got = ::read(fd_.get(), chunk.data(), chunk.size());
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (got <= 0) return fd_.reset();
      const auto keep = std::min(static_cast<std::size_t>(got), limit_ - text_.size());
      text_.append(chunk.data(), keep);
      truncated_ = truncated_ || keep < static_cast<std::size_t>(got);
    }
  }

 private:
  UniqueFd fd_;
  std::size_t limit_;
  std::string text_;
  bool truncated_ = false;
};

// Owns a started child: kills its process group and reaps it at the latest when destroyed.
class Child {
 public:
  explicit Child(pid_t pid) noexcept : pid_(pid) {}
  ~Child() {
    if (!reaped_) {
      kill();
      reap();
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill() const noexcept {
    ::kill(-pid_, SIGKILL);  // the group; it exists once the child has called setsid()
    ::kill(pid_, SIGKILL);
  }
  void reap() noexcept {
    while (::wait4(pid_, &wait_status, 0, &usage) < 0)
      if (errno != EINTR) {
        lost = true;
        break;
      }
    reaped_ = true;
  }

  int wait_status = 0;
  rusage usage{};
  bool lost = false;  // somebody else reaped it (SIGCHLD ignored): its end is not known

 private:
  pid_t pid_;
  bool reaped_ = false;
};

// Starts the child; every signal is blocked around fork so that no handler of ours runs in it.
pid_t fork_child(const ChildPlan& plan) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) child_main(plan);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

int remaining_ms(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
}

}  // namespace

std::string SubprocessOutcome::describe_end() const {
  switch (end) {
    case End::exited:
      return fmt::format("exit status {}", status);
    case End::signalled:
      return fmt::format("killed by signal {}", status);
    case End::timed_out:
      break;
  }
  return "no end within the time limit";
}

Result<SubprocessOutcome> run_subprocess(const SubprocessRequest& request, std::stop_token stop) {
  const Errc code = request.error_code;
  if (request.argv.empty() || request.inherit.size() > 16)
    return fail(Errc::internal_bug, "run_subprocess: no program, or too many descriptors");
  const std::string& program = request.argv.front();
  const auto failed = [&](std::string_view step, int error) {
    return tl::unexpected(system_error(code, fmt::format("starting {}: {}", program, step), error));
  };
  if (stop.stop_requested())
    return fail(Errc::cancelled, fmt::format("starting {}: cancelled", program));

  INGOT_TRY_ASSIGN(Pipe out, make_pipe(code));
  INGOT_TRY_ASSIGN(Pipe err, make_pipe(code));
  INGOT_TRY_ASSIGN(Pipe report, make_pipe(code));
  UniqueFd stopped(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stopped) return failed("eventfd", errno);

  std::vector<std::string> arguments = request.argv;
  std::vector<std::string> environment = {std::string("PATH=") + kDefaultPath, "LC_ALL=C"};
  const auto argv = pointers(arguments);
  const auto envp = pointers(environment);
  const auto deadline = Clock::now() + request.timeout;
  const pid_t pid = fork_child({&request, argv.data(), envp.data(), out.write.get(),
                                err.write.get(), report.write.get(), ::getpid(), ::geteuid() == 0});
  if (pid < 0) return failed("fork", errno);
  Child child(pid);
  out.write.reset();
  err.write.reset();
  report.write.reset();

  // Closed by exec; holds a ChildFailure if it did not come to that.
  ChildFailure failure{};
  ssize_t got = 0;
  while ((got = ::read(report.read.get(), &failure, sizeof failure)) < 0 && errno == EINTR) {
  }
  if (got == sizeof failure)
    return failed(kSteps[static_cast<std::size_t>(failure.step) % kSteps.size()], failure.error);

  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return failed("pidfd_open", errno);
  const std::stop_callback wake(stop, [fd = stopped.get()] {
    const std::uint64_t one = 1;
    (void)!::write(fd, &one, sizeof one);
  });

  Captured captured_out(std::move(out.read), request.output_limit);
  Captured captured_err(std::move(err.read), request.output_limit);
  SubprocessOutcome outcome;
  for (;;) {
    // A closed stream's descriptor is -1, which poll passes over.
    std::array<pollfd, 4> wait = {{{pidfd.get(), POLLIN, 0},
                                   {stopped.get(), POLLIN, 0},
                                   {captured_out.fd(), POLLIN, 0},
                                   {captured_err.fd(), POLLIN, 0}}};
    if (::poll(wait.data(), wait.size(), remaining_ms(deadline)) < 0 && errno != EINTR)
      return failed("poll", errno);
    captured_out.drain();
    captured_err.drain();
    if (stop.stop_requested())
      return fail(Errc::cancelled, fmt::format("running {}: cancelled", program));
    if (wait[0].revents != 0) break;
    if (Clock::now() >= deadline) {
      outcome.end = SubprocessOutcome::End::timed_out;
      break;
    }
  }
  child.kill();  // on a time-out; after a normal end whatever it may have left in its group
  child.reap();
  captured_out.drain();
  captured_err.drain();
  if (child.lost)
    return fail(Errc::internal_bug, fmt::format("running {}: its end was not reported", program));

  if (outcome.end != SubprocessOutcome::End::timed_out) {
    const bool exited = WIFEXITED(child.wait_status);
    outcome.end = exited ? SubprocessOutcome::End::exited : SubprocessOutcome::End::signalled;
    outcome.status = exited ? WEXITSTATUS(child.wait_status) : WTERMSIG(child.wait_status);
  }
  outcome.output_truncated = captured_out.truncated() || captured_err.truncated();
  outcome.out = captured_out.take();
  outcome.err = captured_err.take();
  outcome.peak_rss = static_cast<std::uint64_t>(child.usage.ru_maxrss) * 1024;
  return outcome;
}

std::optional<std::string> find_program(std::string_view name) {
  const char* from_environment = std::getenv("PATH");
  std::string_view path = from_environment != nullptr ? from_environment : kDefaultPath;
  while (!path.empty()) {
    const auto end = path.find(':');
    const auto directory = path.substr(0, end);
    path = end == std::string_view::npos ? std::string_view{} : path.substr(end + 1);
    if (directory.empty() || directory.front() != '/') continue;  // relative: whose directory?
    auto candidate = fmt::format("{}/{}", directory, name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

}  // namespace ingot
