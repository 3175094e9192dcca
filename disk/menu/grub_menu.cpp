#include "disk/menu/grub_menu.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "disk/boot/entry_text.hpp"
#include "disk/menu/grub_commands.hpp"
#include "disk/menu/grub_entries.hpp"
#include "disk/menu/grub_environment.hpp"
#include "disk/menu/grub_script.hpp"
#include "disk/menu/loader_entries.hpp"
#include "disk/menu/version_order.hpp"

namespace ingot::disk {
namespace {

constexpr int kDeepestFile = 8;   // files that read files
constexpr int kDeepestCall = 16;  // functions that call functions
constexpr int kDeepestSubmenu = 8;
constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

struct Target {
  std::optional<BootFile> kernel{};
  std::vector<BootFile> initrds;
  std::string command_line;
  bool known = true;
};

class GrubMenu {
 public:
  GrubMenu(const BootVolumes& volumes, const BootFirmware& firmware)
      : volumes_(volumes), environment_(firmware) {}

  Result<BootChoice> choose(std::size_t volume, const std::string& path) {
    const std::string device = device_name(volume);
    environment_.set("root", {device});
    environment_.set("prefix", {"(" + device + ")" + path.substr(0, path.rfind('/'))});
    INGOT_TRY(run_config({volume, path}));
    return boot_default();
  }

 private:
  Error wrong(const std::string& why) const {
    const std::string line = line_ != 0 ? fmt::format("line {}: ", line_) : "";
    return {Errc::image_unsupported, fmt::format("{}: {}{}", file_, line, why)};
  }
  tl::unexpected<Error> stop(const std::string& why) const { return tl::unexpected(wrong(why)); }

  // Devices and paths.

  [[nodiscard]] std::string device_name(std::size_t volume) const {
    const BootVolume& found = volumes_[volume];
    if (found.partition == 0) return "hd0";
    return fmt::format("hd0,{}{}", found.gpt ? "gpt" : "msdos", found.partition);
  }

  // Only the disk that GRUB was started from has a number that is known: the first.
  [[nodiscard]] std::optional<std::size_t> volume_of(std::string_view device) const {
    if (device.starts_with('(') && device.ends_with(')') && device.size() > 1)
      device = device.substr(1, device.size() - 2);
    if (!device.starts_with("hd0")) return std::nullopt;
    device.remove_prefix(3);
    unsigned number = 0;
    if (!device.empty()) {
      const auto digits = device.find_first_of("0123456789");
      if (digits == std::string_view::npos) return std::nullopt;
      const std::string_view kind = device.substr(0, digits);
      if (kind != "," && kind != ",gpt" && kind != ",msdos") return std::nullopt;
      const char* const end = device.data() + device.size();
      if (std::from_chars(device.data() + digits, end, number).ptr != end) return std::nullopt;
    }
    for (std::size_t i = 0; i < volumes_.size(); ++i)
      if (volumes_[i].partition == number) return i;
    return std::nullopt;
  }

  [[nodiscard]] std::optional<BootFile> place_of(const std::string& text) const {
    std::string device, path = text;
    if (text.starts_with('(')) {
      const auto end = text.find(')');
      if (end == std::string::npos) return std::nullopt;
      device = text.substr(1, end - 1);
      path = text.substr(end + 1);
    } else {
      const GrubText root = environment_.get("root");
      if (!root.known) return std::nullopt;
      device = root.text;
    }
    const auto volume = volume_of(device);
    if (!volume || !path.starts_with('/')) return std::nullopt;
    return BootFile{*volume, path};
  }

  [[nodiscard]] std::optional<FileTree::Kind> kind_of(const std::string& text) const {
    const auto place = place_of(text);
    if (!place) return std::nullopt;
    return volumes_[place->volume].tree.kind(place->path);
  }

  // Running.

  Result<const GrubBlock*> keep(std::string_view text, const std::string& name) {
    INGOT_TRY(environment_.spend(text.size()));
    INGOT_TRY_ASSIGN(auto block, parse_grub_script(text, name));
    scripts_.push_back(std::make_unique<GrubBlock>(std::move(block)));
    return scripts_.back().get();
  }

  // A file in the same menu, as `source` does it.
  Result<void> run_file(const BootFile& place) {
    if (files_ == kDeepestFile) return stop("files read one another without end");
    const FileTree& tree = volumes_[place.volume].tree;
    const std::string name = fmt::format("{}: {}", tree.name(), shown(place.path));
    INGOT_TRY_ASSIGN(const std::string text, tree.read(place.path, kMostMenuBytes));
    INGOT_TRY_ASSIGN(const GrubBlock* const block, keep(text, name));
    const std::string outer_file = std::exchange(file_, name);
    const unsigned outer_line = line_;
    ++files_;
    INGOT_TRY(run(*block));
    --files_;
    file_ = outer_file;
    line_ = outer_line;
    return {};
  }

  // A file with a menu of its own, as `configfile` does it: what was in the menu is gone.
  Result<void> run_config(const BootFile& place) {
    menu_ = GrubEntries{};
    source_ = place.path;
    menu_file_ = fmt::format("{}: {}", volumes_[place.volume].tree.name(), shown(place.path));
    const std::string path = "(" + device_name(place.volume) + ")" + place.path;
    environment_.set("config_file", {path});
    environment_.set("config_directory", {path.substr(0, path.rfind('/'))});
    INGOT_TRY(run_file(place));
    replaced_ = true;
    return {};
  }

  Result<void> run(const GrubBlock& block) {
    for (const GrubStatement& statement : block) {
      if (replaced_) return {};
      line_ = statement.line;
      INGOT_TRY(environment_.spend(1));
      switch (statement.kind) {
        case GrubStatement::Kind::command:
          INGOT_TRY(run_command(statement));
          break;
        case GrubStatement::Kind::condition:
          INGOT_TRY(run_condition(statement));
          break;
        case GrubStatement::Kind::loop:
          INGOT_TRY(doubt(statement, 0));
          environment_.last = Truth::unknown;
          break;
        case GrubStatement::Kind::function:
          functions_.insert_or_assign(literal_text(statement.words[0]).value_or(""),
                                      &statement.blocks[0]);
          break;
      }
    }
    return {};
  }

  Result<void> run_condition(const GrubStatement& statement) {
    const auto& blocks = statement.blocks;
    for (std::size_t i = 0; i + 1 < blocks.size(); i += 2) {
      INGOT_TRY(run(blocks[i]));
      if (replaced_) return {};
      if (environment_.last == Truth::yes) return run(blocks[i + 1]);
      if (environment_.last == Truth::no) continue;
      for (std::size_t rest = i + 1; rest < blocks.size(); ++rest)
        INGOT_TRY(doubt(blocks[rest], 0));
      return {};
    }
    environment_.last = Truth::yes;
    if (blocks.size() % 2 != 0) return run(blocks.back());
    return {};
  }

  // What may run, or not: what it would change is not known from then on.
  Result<void> doubt(const GrubBlock& block, int depth) {
    for (const GrubStatement& statement : block) INGOT_TRY(doubt(statement, depth));
    environment_.last = Truth::unknown;
    return {};
  }

  Result<void> doubt(const GrubStatement& statement, int depth) {
    INGOT_TRY(environment_.spend(1));
    line_ = statement.line;
    if (depth > kDeepestCall) return stop("functions call one another without end");
    if (statement.kind == GrubStatement::Kind::function)
      return stop("a function is defined under a condition that is not known");
    if (statement.kind != GrubStatement::Kind::command) {
      if (!statement.words.empty())
        environment_.forget(literal_text(statement.words[0]).value_or(""));
      for (const GrubBlock& block : statement.blocks) INGOT_TRY(doubt(block, depth));
      return {};
    }
    if (const auto name = assigned_name(statement.words[0])) {
      environment_.forget(*name);
      return {};
    }
    const auto name = literal_text(statement.words[0]);
    if (!name) return stop("what runs there is not known");
    if (const auto function = functions_.find(*name); function != functions_.end())
      return doubt(*function->second, depth + 1);
    switch (grub_command(*name)) {
      case GrubCommand::harmless:
      case GrubCommand::test:
        break;
      case GrubCommand::set:
        for (std::size_t i = 1; i < statement.words.size(); ++i)
          environment_.forget(assigned_name(statement.words[i])
                                  .value_or(literal_text(statement.words[i]).value_or("")));
        break;
      case GrubCommand::load_environment:
        for (const char* each : {"default", "next_entry", "saved_entry", "kernelopts"})
          environment_.forget(each);
        break;
      case GrubCommand::search:
        // Whichever variable it is for.
        environment_.forget("root");
        for (const GrubWord& word : statement.words) {
          const std::string text = literal_text(word).value_or("");
          environment_.forget(text.substr(std::min(text.find('=') + 1, text.size())));
        }
        break;
      case GrubCommand::linux_kernel:
      case GrubCommand::initrd:
        target_.known = false;
        break;
      case GrubCommand::menu_entry:
      case GrubCommand::loader_entries:
        menu_.doubt();
        break;
      case GrubCommand::source:
      case GrubCommand::config:
        menu_.doubt();
        environment_.forget("default");
        menu_.certain = 0;
        break;
      case GrubCommand::unknown:
        return stop(fmt::format("'{}' is not followed, and may run", shown(*name)));
    }
    return {};
  }

  Result<void> run_command(const GrubStatement& statement) {
    if (const auto name = assigned_name(statement.words[0]))
      return assign(*name, statement.words[0]);
    std::vector<GrubText> arguments;
    for (const GrubWord& word : statement.words) INGOT_TRY(environment_.expand(word, arguments));
    if (arguments.empty()) return {};
    if (!arguments[0].known) return stop("what runs there is not known");
    const std::string name = arguments[0].text;
    if (const auto function = functions_.find(name); function != functions_.end())
      return call(*function->second, std::move(arguments));
    GrubCommand command = grub_command(name);
    if (!statement.blocks.empty() && command != GrubCommand::menu_entry)
      command = GrubCommand::unknown;
    Truth done = Truth::yes;
    switch (command) {
      case GrubCommand::harmless:
        done = harmless_status(name);
        break;
      case GrubCommand::test:
        if (name == "[" && (arguments.size() < 2 || arguments.back().text != "]"))
          return stop("']' is missing");
        if (name == "[") arguments.pop_back();
        arguments.erase(arguments.begin());
        done = grub_test(arguments, [this](const std::string& path) { return kind_of(path); });
        break;
      case GrubCommand::set:
        return set(name, statement, arguments);
      case GrubCommand::load_environment:
        done = load_environment(arguments);
        break;
      case GrubCommand::search:
        done = search(name, arguments);
        break;
      case GrubCommand::linux_kernel:
        INGOT_TRY(load_linux(arguments));
        break;
      case GrubCommand::initrd:
        INGOT_TRY(load_initrds(arguments));
        break;
      case GrubCommand::menu_entry:
        INGOT_TRY(add_entry(statement, arguments));
        break;
      case GrubCommand::loader_entries:
        INGOT_TRY(add_loader_entries());
        break;
      case GrubCommand::source:
      case GrubCommand::config:
        return read_other(command, name, arguments);
      case GrubCommand::unknown:
        return stop(fmt::format("'{}' is not followed", shown(name)));
    }
    environment_.last = done;
    return {};
  }

  Result<void> call(const GrubBlock& body, std::vector<GrubText> arguments) {
    if (calls_ == kDeepestCall) return stop("functions call one another without end");
    arguments.erase(arguments.begin());
    const auto outer = std::exchange(environment_.positional, std::move(arguments));
    ++calls_;
    INGOT_TRY(run(body));
    --calls_;
    environment_.positional = outer;
    return {};
  }

  // Variables.

  Result<void> assign(const std::string& name, const GrubWord& word) {
    GrubWord whole = word;
    for (GrubPart& part : whole) part.quoted = true;
    std::vector<GrubText> value;
    INGOT_TRY(environment_.expand(whole, value));
    value[0].text.erase(0, name.size() + 1);
    put(name, std::move(value[0]));
    environment_.last = Truth::yes;
    return {};
  }

  void put(const std::string& name, GrubText value) {
    if (name == "root" && value.text.starts_with('(') && value.text.ends_with(')'))
      value.text = value.text.substr(1, value.text.size() - 2);
    environment_.set(name, std::move(value));
  }

  Result<void> set(const std::string& command, const GrubStatement& statement,
                   std::vector<GrubText>& arguments) {
    if (command == "set" && arguments.size() > 1) {
      const auto equals = arguments[1].text.find('=');
      const bool name_known =
          arguments[1].known || (statement.words.size() > 1 && assigned_name(statement.words[1]));
      if (!name_known || equals == std::string::npos)
        return stop("which variable is set there is not known");
      put(arguments[1].text.substr(0, equals),
          {arguments[1].text.substr(equals + 1), arguments[1].known});
    } else if (command != "set") {
      for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (command == "unset" && arguments[i].known)
          environment_.set(arguments[i].text, {});
        else
          environment_.forget(arguments[i].text);
      }
    }
    environment_.last = Truth::yes;
    return {};
  }

  Truth load_environment(const std::vector<GrubText>& arguments) {
    std::optional<GrubText> file;
    std::vector<GrubText> only;
    bool known = true;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
      known = known && arguments[i].known;
      if ((arguments[i].text == "-f" || arguments[i].text == "--file") && i + 1 < arguments.size())
        file = arguments[++i];
      else if (arguments[i].text.starts_with("--file="))
        file = GrubText{arguments[i].text.substr(7)};
      else if (!arguments[i].text.starts_with('-'))
        only.push_back(arguments[i]);
    }
    if (!file) {
      file = environment_.get("prefix");
      file->text += "/grubenv";
    }
    const auto place = known && file->known ? place_of(file->text) : std::nullopt;
    const auto text = place ? volumes_[place->volume].tree.read(place->path, kMostMenuBytes)
                            : Result<std::string>(fail(Errc::image_unsupported, ""));
    if (text) environment_.load(*text, only);
    // The rest of it may be in a gap of the disk, where GRUB can write: that is not read here.
    const GrubText elsewhere = environment_.get("env_block");
    if ((!text &&
         (!place || volumes_[place->volume].tree.kind(place->path) != FileTree::Kind::none)) ||
        !elsewhere.known || !elsewhere.text.empty())
      for (const char* each : {"default", "next_entry", "saved_entry", "kernelopts"})
        environment_.forget(each);
    return truth(text.has_value());
  }

  Truth search(const std::string& name, const std::vector<GrubText>& arguments) {
    const GrubSearch wanted = parse_grub_search(name, arguments);
    std::optional<std::size_t> found;
    bool known = wanted.what != GrubSearch::What::unknown;
    for (std::size_t i = 0; known && i < volumes_.size(); ++i) {
      if (!fits(wanted, volumes_[i])) continue;
      known = !found;  // GRUB's own order of two that fit is not known
      found = i;
    }
    if (!known || !found) {
      if (!wanted.variable.empty()) environment_.forget(wanted.variable);
      return Truth::unknown;  // it may be on another disk
    }
    if (!wanted.variable.empty()) environment_.set(wanted.variable, {device_name(*found)});
    return Truth::yes;
  }

  static bool fits(const GrubSearch& wanted, const BootVolume& volume) {
    switch (wanted.what) {
      case GrubSearch::What::uuid:
        return !volume.uuid.empty() && same_name(volume.uuid, wanted.value);
      case GrubSearch::What::label:
        return !volume.label.empty() && volume.label == wanted.value;
      case GrubSearch::What::file:
        return volume.tree.kind(wanted.value) != FileTree::Kind::none;
      case GrubSearch::What::unknown:
        break;
    }
    return false;
  }

  // The menu.

  Result<void> add(GrubEntry entry) {
    if (menu_.entries.size() == kMostGrubEntries) return stop("the menu has too many entries");
    menu_.entries.push_back(std::move(entry));
    return {};
  }

  Result<void> add_entry(const GrubStatement& statement, const std::vector<GrubText>& arguments) {
    if (statement.blocks.size() != 1) return stop("an entry has no body");
    GrubEntry entry = parse_grub_entry(arguments);
    entry.body = &statement.blocks[0];
    return add(std::move(entry));
  }

  // Variables in a text; their values may have some in turn, which the script that it becomes part
  // of puts in. What is not known stays, and is not known there either.
  Result<std::string> put_in(std::string_view text) {
    std::string whole;
    while (!text.empty()) {
      const auto dollar = std::min(text.find('$'), text.size());
      whole += text.substr(0, dollar);
      text.remove_prefix(dollar);
      if (text.empty()) break;
      const bool braces = text.substr(1).starts_with('{');
      const std::size_t begin = braces ? 2 : 1;
      const std::size_t end = std::min(text.find_first_not_of(kNameCharacters, begin), text.size());
      const GrubText value = environment_.get(std::string(text.substr(begin, end - begin)));
      const bool closed = !braces || text.substr(end).starts_with('}');
      const std::string_view all = text.substr(0, end + (braces && closed ? 1 : 0));
      INGOT_TRY(environment_.spend(value.text.size() + all.size()));
      if (end == begin || !closed || !value.known)
        whole += all;
      else
        whole += value.text;
      text.remove_prefix(all.size());
    }
    return whole;
  }

  // Fedora's blscfg: each entry becomes a script of two commands.
  Result<void> add_loader_entries() {
    GrubText directory = environment_.get("blsdir");
    const bool standard = directory.known && directory.text.empty();
    if (standard) directory.text = "/loader/entries";
    auto place = directory.known ? place_of(directory.text) : std::nullopt;
    if (!place) return stop("where blscfg finds its entries is not known");
    INGOT_TRY_ASSIGN(auto found, read_entries(volumes_, place->volume, place->path));
    if (found.empty() && standard) {
      INGOT_TRY_ASSIGN(found, read_entries(volumes_, place->volume, "/boot/loader/entries"));
    }
    std::ranges::sort(found, [](const LoaderEntry& one, const LoaderEntry& other) {
      return std::is_gt(compare_versions(one.path, other.path));
    });
    for (const LoaderEntry& each : found) {
      const std::string name = each.path.substr(each.path.rfind('/') + 1);
      INGOT_TRY_ASSIGN(std::string options, put_in(each.options));
      if (options.empty() && each.options == "$kernelopts") {
        INGOT_TRY_ASSIGN(options, put_in("$default_kernelopts"));
      }
      INGOT_TRY_ASSIGN(const std::string kernel, put_in(each.linux_path));
      std::string script = fmt::format("linux ($root){} {}\n", kernel, options);
      if (!each.initrds.empty()) script += "initrd";
      for (const std::string& initrd : each.initrds) {
        INGOT_TRY_ASSIGN(const std::string file, put_in(initrd));
        script += fmt::format(" {}{}", initrd.starts_with('/') ? "($root)" : "", file);
      }
      GrubEntry entry;
      entry.title = each.title;
      entry.id = name.substr(0, name.rfind('.'));
      // What `grub_arg` says of passwords is not read: with superusers there is no answer.
      INGOT_TRY_ASSIGN(entry.body, keep(script, file_ + ": " + shown(each.path)));
      INGOT_TRY(add(std::move(entry)));
    }
    return {};
  }

  Result<void> read_other(GrubCommand command, const std::string& name,
                          const std::vector<GrubText>& arguments) {
    GrubText path;
    if (arguments.size() > 1) {
      path = arguments[1];
    } else if (name == "normal") {
      path = environment_.get("prefix");
      path.text += "/grub.cfg";
    }
    const auto place = path.known ? place_of(path.text) : std::nullopt;
    if (!place) return stop("where the file of '" + shown(name) + "' is, is not known");
    if (volumes_[place->volume].tree.kind(place->path) != FileTree::Kind::file) {
      environment_.last = Truth::no;
      return {};
    }
    return command == GrubCommand::source ? run_file(*place) : run_config(*place);
  }

  // An entry.

  Result<void> load_linux(const std::vector<GrubText>& arguments) {
    for (const GrubText& each : arguments)
      if (!each.known) return stop("the kernel's command line depends on what is not known here");
    const auto place = arguments.size() > 1 ? place_of(arguments[1].text) : std::nullopt;
    if (!place) return stop("where the kernel is, is not known");
    target_ = Target{};
    target_.kernel = *place;
    target_.command_line = "BOOT_IMAGE=" + arguments[1].text;
    for (std::size_t i = 2; i < arguments.size(); ++i)
      target_.command_line += " " + quote_for_kernel(arguments[i].text);
    return {};
  }

  Result<void> load_initrds(const std::vector<GrubText>& arguments) {
    target_.initrds.clear();
    for (std::size_t i = 1; i < arguments.size(); ++i) {
      const auto place = arguments[i].known ? place_of(arguments[i].text) : std::nullopt;
      if (!place) return stop("where an initrd is, is not known");
      if (target_.initrds.size() == kMostInitrds) return stop("it has too many initrds");
      target_.initrds.push_back(*place);
    }
    return {};
  }

  Result<BootChoice> boot_default() {
    file_ = menu_file_;
    line_ = 0;
    GrubText wanted = environment_.get("default");
    for (int depth = 0; depth < kDeepestSubmenu; ++depth) {
      if (!wanted.known) return stop("the default entry depends on what is not known here");
      const auto found = menu_.find(wanted.text);
      if (!found) return stop(found.error().message());
      const GrubEntry entry = menu_.entries[*found];
      const GrubText users = environment_.get("superusers");
      if (!entry.unrestricted && (!users.known || !users.text.empty()))
        return stop("GRUB asks for a password before it starts the default entry");
      replaced_ = false;
      if (entry.submenu) {
        menu_ = GrubEntries{};
        wanted = {below(wanted.text)};
        INGOT_TRY(run(*entry.body));
        continue;
      }
      target_ = Target{};
      INGOT_TRY(run(*entry.body));
      if (replaced_ || !target_.known)
        return stop("what the default entry starts depends on what is not known here");
      if (!target_.kernel) return stop("the default entry starts no Linux");
      return BootChoice{entry.title, source_, *target_.kernel, std::move(target_.initrds),
                        std::move(target_.command_line)};
    }
    return stop("submenus are too deep");
  }

  const BootVolumes& volumes_;
  GrubEnvironment environment_;
  std::vector<std::unique_ptr<GrubBlock>> scripts_;  // entries and functions point into them
  std::map<std::string, const GrubBlock*> functions_;
  GrubEntries menu_;
  Target target_;
  std::string source_, menu_file_;  // of the menu that counts
  std::string file_;                // that is read
  unsigned line_ = 0;
  int files_ = 0, calls_ = 0;
  bool replaced_ = false;  // a configfile has run: nothing behind it does
};

}  // namespace

Result<BootChoice> choose_grub_entry(const BootVolumes& volumes, std::size_t volume,
                                     const std::string& path, const BootFirmware& firmware) {
  return GrubMenu(volumes, firmware).choose(volume, path);
}

}  // namespace ingot::disk
