/// The grammars of the commands and of the option groups they share (CLI11). Only agent/cli/*.cpp
/// includes this.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/options.hpp"
#include "disk/core/error.hpp"

namespace CLI {
class App;
}  // namespace CLI

namespace ingot::agent {

/// A mistake on the command line, with the advice to ask `command` (or ingot itself, "") for help.
tl::unexpected<Error> wrong(std::string message, std::string_view command);

/// Adds a command's sub-parser to `ingot`, which owns it. `about` and `footer` are its --help's
/// prose.
CLI::App& add_command(CLI::App& ingot, const std::string& name, const std::string& summary,
                      std::string_view about, std::string_view footer);

/// Adds options to a group of --help. What it types into outlives the parsing.
class OptionGroup {
 public:
  OptionGroup(CLI::App& app, const char* name) : app_(app), name_(name) {}
  void value(const char* option, std::string& into, const char* type, const char* help) const;
  /// One that may be given again, each time with one value.
  void each(const char* option, std::vector<std::string>& into, const char* type,
            const char* help) const;
  /// One that takes nothing but one of `values`, which is checked while parsing.
  void choice(const char* option, std::string& into, const char* type,
              const std::vector<std::string>& values, const char* help) const;
  void flag(const char* option, bool& into, const char* help) const;

 private:
  CLI::App& app_;
  const char* const name_;
};

/// One command's words: they are typed into members while CLI11 parses, and become options, or an
/// error, when they are understood. A grammar lives as long as the CLI::App it was added to.
class CommandGrammar {
 public:
  explicit CommandGrammar(CLI::App& app) : app_(app) {}
  CommandGrammar(const CommandGrammar&) = delete;
  CommandGrammar& operator=(const CommandGrammar&) = delete;
  virtual ~CommandGrammar() = default;

  /// Called after parsing, of the command that was named. Errors: usage.*, without secrets.
  virtual Result<Command> understand() = 0;

  [[nodiscard]] const CLI::App& app() const noexcept { return app_; }

 protected:
  /// How often an option was given.
  [[nodiscard]] bool given(const char* option) const;
  /// `-o` that takes text or json.
  static void add_output(CLI::App& app, std::string& into);

 private:
  CLI::App& app_;
};

std::unique_ptr<CommandGrammar> write_grammar(CLI::App& ingot);
std::unique_ptr<CommandGrammar> verify_grammar(CLI::App& ingot);
std::unique_ptr<CommandGrammar> erase_grammar(CLI::App& ingot);
std::unique_ptr<CommandGrammar> image_info_grammar(CLI::App& ingot);
std::unique_ptr<CommandGrammar> devices_grammar(CLI::App& ingot);
std::unique_ptr<CommandGrammar> resolve_grammar(CLI::App& ingot);
std::unique_ptr<CommandGrammar> agent_grammar(CLI::App& ingot);
std::unique_ptr<CommandGrammar> provision_grammar(CLI::App& ingot);

/// Group "Network".
class NetworkGrammar {
 public:
  explicit NetworkGrammar(CLI::App& app);
  Result<NetworkOptions> understand();

 private:
  CLI::App& app_;
  NetworkOptions options_;
  std::string connect_timeout_, stall_timeout_, retry_deadline_;
};

/// Group "Image": a manifest, or URLs and a checksum.
class ImageGrammar {
 public:
  explicit ImageGrammar(CLI::App& app);
  /// Without what a manifest will say. Errors: usage.option, usage.checksum.
  Result<ImageOptions> understand();
  /// The manifest's file, or "".
  [[nodiscard]] const std::string& os_image() const noexcept { return os_image_; }

 private:
  [[nodiscard]] bool given(const char* option) const;

  CLI::App& app_;
  ImageOptions options_;
  std::string os_image_;
  std::string checksum_, checksum_type_ = "auto", format_ = "auto";
};

/// Group "Target": the disk that is overwritten.
class TargetGrammar {
 public:
  enum class Size { settable, as_it_is };        ///< whether --size may make the target
  enum class Naming { by_device, or_by_hints };  ///< whether --root-device-hints may choose it
  TargetGrammar(CLI::App& app, Size size, Naming naming = Naming::by_device);
  Result<TargetOptions> understand();

 private:
  CLI::App& app_;
  TargetOptions options_;
  const Naming naming_;
  std::string size_, hints_;
};

/// Group "Config drive".
class ConfigDriveGrammar {
 public:
  explicit ConfigDriveGrammar(CLI::App& app);
  Result<ConfigDriveOptions> understand();

 private:
  CLI::App& app_;
  ConfigDriveOptions options_;
};

/// Group "Machine": who this machine is said to be, and whether it is really switched off.
class MachineGrammar {
 public:
  explicit MachineGrammar(CLI::App& app);
  struct Options {
    std::vector<std::string> macs;  ///< instead of the machine's own
    PowerMode power = PowerMode::real;
  };
  Result<Options> understand();

 private:
  CLI::App& app_;
  Options options_;
  std::string power_ = "real";
};

/// Group "Reporting".
class ReportingGrammar {
 public:
  enum class Url { here, or_elsewhere };  ///< whether a request may name the URL, or its base
  explicit ReportingGrammar(CLI::App& app, Url url = Url::here);
  Result<ReportingOptions> understand();

 private:
  CLI::App& app_;
  const Url url_;
  ReportingOptions options_;
  std::string progress_ = "auto";
};

/// Group "Resources".
class ResourceGrammar {
 public:
  explicit ResourceGrammar(CLI::App& app);
  Result<ResourceOptions> understand();

 private:
  CLI::App& app_;
  ResourceOptions options_;
  std::string memory_limit_, threads_;
};

}  // namespace ingot::agent
