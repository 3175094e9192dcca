// The agent with loop devices for disks: it knows of no others. Needs root.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "agent/ironic/cleaning.hpp"
#include "agent/ironic/deploying.hpp"
#include "agent/ironic/parameters.hpp"
#include "disk/core/units.hpp"
#include "tests/support/command.hpp"
#include "tests/support/loop_device.hpp"
#include "tests/unit/agent/ironic/agent_rig.hpp"
#include "tests/unit/agent/ironic/fake_ironic.hpp"

namespace ingot::test {

class LoopAgent : public AgentRig {
 public:
  /// Options are those of a RAM disk that has only the named disks.
  explicit LoopAgent(const std::vector<const LoopDevice*>& disks) {
    options.power = agent::PowerMode::exit;
    for (const LoopDevice* disk : disks) options.only_disks.push_back(disk->path());
    // An empty list means every disk of this machine.
    if (options.only_disks.empty() || disks.front()->path().empty()) std::abort();
    std::vector<agent::Step> steps = agent::cleaning_steps(options, node);
    for (auto& step : agent::deploy_steps(options, node)) steps.push_back(std::move(step));
    agent::add_step_commands(table, std::move(steps), node);
    agent::add_deploy_commands(table, options, node);
  }
  ~LoopAgent() { table.finish(); }

  agent::AgentOptions options;
};

/// Serves one text, whatever path is asked for.
class ServedText {
 public:
  explicit ServedText(std::string content)
      : content_(std::move(content)), server_([this](const auto&, std::size_t) {
          return agent::HttpAnswer{.status = 200, .body = content_};
        }) {}
  [[nodiscard]] std::string url(const std::string& name = "image") const {
    return server_.url() + "/" + name;
  }
  std::size_t asked() { return server_.requests().size(); }

 private:
  const std::string content_;
  FakeIronic server_;
};

inline std::string content_of(const std::string& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A small disk image with one partition and some data in it.
class DiskImage {
 public:
  explicit DiskImage(const std::string& label = "gpt", unsigned data = 1) {
    run("truncate -s 8M " + raw() + " && printf 'label: " + label +
        "\\nstart=2048,size=8192\\n' | sfdisk -q " + raw() +
        " && head -c 1M /dev/zero | tr '\\0' '" + static_cast<char>('a' + data) +
        "' | dd of=" + raw() + " bs=1M seek=2 conv=notrunc status=none iflag=fullblock");
  }
  [[nodiscard]] std::string raw() const { return dir_.path("image.raw"); }
  [[nodiscard]] std::string content() const { return content_of(raw()); }
  /// The same in another format, as qemu-img makes it.
  [[nodiscard]] std::string as(const std::string& format) const {
    const std::string path = dir_.path("image." + format);
    run("qemu-img convert -f raw -O " + format + " " + raw() + " " + path);
    return content_of(path);
  }
  [[nodiscard]] std::string sum_of(const std::string& bytes, const std::string& tool) const {
    std::ofstream(dir_.path("summed"), std::ios::binary) << bytes;
    const std::string line = run(tool + " " + dir_.path("summed"));
    return line.substr(0, line.find(' '));
  }
  /// What the image's data are at its offset 2 MiB.
  static constexpr std::uint64_t kDataAt = 2 * MiB;

 private:
  TempDir dir_;
};

/// A stretch of the file behind a loop device.
inline std::string bytes_of(const LoopDevice& disk, std::uint64_t offset, std::size_t length) {
  std::ifstream in(disk.backing(), std::ios::binary);
  std::string text(length, '?');
  in.seekg(static_cast<std::streamoff>(offset));
  in.read(text.data(), static_cast<std::streamsize>(length));
  return text;
}

}  // namespace ingot::test
