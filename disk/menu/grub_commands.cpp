#include "disk/menu/grub_commands.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace ingot::disk {
namespace {

constexpr std::array<std::pair<std::string_view, GrubCommand>, 26> kCommands = {{
    {"[", GrubCommand::test},
    {"test", GrubCommand::test},
    {"set", GrubCommand::set},
    {"unset", GrubCommand::set},
    {"increment", GrubCommand::set},
    {"decrement", GrubCommand::set},
    {"load_env", GrubCommand::load_environment},
    {"search", GrubCommand::search},
    {"search.file", GrubCommand::search},
    {"search.fs_label", GrubCommand::search},
    {"search.fs_uuid", GrubCommand::search},
    {"linux", GrubCommand::linux_kernel},
    {"linux16", GrubCommand::linux_kernel},
    {"linuxefi", GrubCommand::linux_kernel},
    {"initrd", GrubCommand::initrd},
    {"initrd16", GrubCommand::initrd},
    {"initrdefi", GrubCommand::initrd},
    {"menuentry", GrubCommand::menu_entry},
    {"submenu", GrubCommand::menu_entry},
    {"blscfg", GrubCommand::loader_entries},
    {"source", GrubCommand::source},
    {".", GrubCommand::source},
    {"configfile", GrubCommand::config},
    {"normal", GrubCommand::config},
    {"true", GrubCommand::harmless},
    {"false", GrubCommand::harmless},
}};

// Fonts, screens, sounds, consoles, modules, questions to the hardware. `cpuid` and their like only
// have a status, which is not known.
constexpr std::array kHarmless = {"insmod",
                                  "rmmod",
                                  "loadfont",
                                  "terminal_input",
                                  "terminal_output",
                                  "terminal",
                                  "terminfo",
                                  "serial",
                                  "echo",
                                  "sleep",
                                  "background_image",
                                  "background_color",
                                  "export",
                                  "save_env",
                                  "play",
                                  "keymap",
                                  "clear",
                                  "videoinfo",
                                  "fwsetup",
                                  "cryptomount",
                                  "password",
                                  "password_pbkdf2",
                                  "cpuid",
                                  "hwmatch",
                                  "ls",
                                  "cat",
                                  "usb_keyboard",
                                  "at_keyboard",
                                  "nativedisk",
                                  "keystatus",
                                  "is_bootable",
                                  "mdraid09",
                                  "cutmem",
                                  "badram",
                                  "gettext"};

std::string value_behind(const std::string& text, std::string_view option) {
  return text.starts_with(option) ? text.substr(option.size()) : std::string();
}

}  // namespace

GrubCommand grub_command(std::string_view name) {
  for (const auto& [known, command] : kCommands)
    if (known == name) return command;
  return std::ranges::find(kHarmless, name) != kHarmless.end() ? GrubCommand::harmless
                                                               : GrubCommand::unknown;
}

Truth harmless_status(std::string_view name) {
  if (name == "false") return Truth::no;
  if (name == "true" || name == "export" || name == "echo" || name == "sleep") return Truth::yes;
  return Truth::unknown;
}

GrubSearch parse_grub_search(const std::string& name, const std::vector<GrubText>& arguments) {
  GrubSearch found;
  std::vector<std::string> plain;
  bool known = true;
  if (name == "search.fs_uuid") found.what = GrubSearch::What::uuid;
  if (name == "search.fs_label") found.what = GrubSearch::What::label;
  if (name == "search.file") found.what = GrubSearch::What::file;
  const bool with_options = name == "search";
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const std::string& text = arguments[i].text;
    if (text.starts_with("--hint")) {  // where to look first; its value is not always joined to it
      if (text.find('=') == std::string::npos) ++i;
      continue;
    }
    known = known && arguments[i].known;
    if (!with_options || !text.starts_with('-')) {
      plain.push_back(text);
    } else if (text == "--fs-uuid" || text == "-u") {
      found.what = GrubSearch::What::uuid;
    } else if (text == "--label" || text == "--fs-label" || text == "-l") {
      found.what = GrubSearch::What::label;
    } else if (text == "--file" || text == "-f") {
      found.what = GrubSearch::What::file;
    } else if (text == "--set" || text == "-s") {
      found.variable = "root";
    } else if (text.starts_with("--set=")) {
      found.variable = value_behind(text, "--set=");
    } else if (text != "--no-floppy" && text != "-n" && text != "--root-dev-only") {
      known = false;
    }
  }
  // Hints may follow the variable where there are no options.
  if (plain.empty() || (with_options && plain.size() != 1)) known = false;
  if (!plain.empty()) found.value = plain[0];
  if (!with_options && plain.size() > 1) found.variable = plain[1];
  if (!known) found.what = GrubSearch::What::unknown;
  return found;
}

std::string quote_for_kernel(const std::string& argument) {
  std::string quoted;
  for (const char c : argument) {
    if (c == '\\' || c == '\'' || c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted.find(' ') == std::string::npos ? quoted : '"' + quoted + '"';
}

}  // namespace ingot::disk
