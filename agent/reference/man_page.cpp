#include "agent/reference/man_page.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string_view>

#include "agent/reference/footer.hpp"
#include "agent/reference/words.hpp"

namespace ingot::agent {
namespace {

// The code point that starts at `at` of UTF-8 text, which is moved behind it.
std::uint32_t code_point(std::string_view text, std::size_t& at) {
  const auto first = static_cast<unsigned char>(text[at++]);
  const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
  std::uint32_t point = more == 0 ? first : first & (0x3fU >> more);
  for (int i = 0; i < more && at < text.size(); ++i)
    point = (point << 6) | (static_cast<unsigned char>(text[at++]) & 0x3fU);
  return point;
}

// A character that roff would take for its own, or for a typographer's, as what it is.
std::string character(std::uint32_t point) {
  switch (point) {
    case '\\':
      return "\\e";
    case '-':
      return "\\-";
    case '\'':
      return "\\(aq";
    case '^':
      return "\\(ha";
    case '~':
      return "\\(ti";
    case 0x2026:
      return "...";
    default:
      return point < 0x80 ? std::string(1, static_cast<char>(point))
                          : fmt::format("\\[u{:04X}]", point);
  }
}

// Text for a line of its own: nothing in it is a request, an escape or a hyphen to break at.
std::string literal(std::string_view text) {
  std::string roff;
  for (std::size_t at = 0; at < text.size();) {
    const std::uint32_t point = code_point(text, at);
    roff += point == '`' ? "\\(ga" : character(point);
  }
  return roff.starts_with('.') ? "\\&" + roff : roff;
}

// The same, of prose: what is between backquotes is bold.
std::string prose(std::string_view text) {
  std::string roff;
  bool bold = false;
  for (const std::string& part : split(text, '`')) {
    roff += bold ? "\\fB" + literal(part) + "\\fR" : literal(part);
    bold = !bold;
  }
  return roff.starts_with('.') ? "\\&" + roff : roff;
}

std::string bold(std::string_view text) {
  return "\\fB" + literal(text) + "\\fR";
}

std::string italic(std::string_view text) {
  return "\\fI" + literal(text) + "\\fR";
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// One page, from its head to its foot.
class Page {
 public:
  Page(const ProgramReference& program, const CommandReference& page)
      : program_(program), page_(page), sections_(parse_footer(page.footer)) {
    const auto more = parse_footer(is_program() ? program.more : "");
    sections_.insert(sections_.end(), more.begin(), more.end());
  }

  std::string write(const std::string& date) {
    const std::string name = title();
    add(".TH {} {} \"{}\" \"{} {}\" \"{} manual\"\n", literal(upper(name)), program_.section, date,
        literal(program_.program.name), program_.version, literal(program_.program.name));
    // Neither hyphens nor stretched blanks among options and file names.
    add(".nh\n.ad l\n");
    add(".SH NAME\n{} \\- {}\n", literal(name), prose(summary()));
    synopsis();
    add(".SH DESCRIPTION\n{}\n", prose(page_.about));
    if (is_program()) commands();
    for (const FooterSection& section : sections_)
      if (section.heading.empty() || !has_place_of_its_own(section.heading)) {
        add(section.heading.empty() ? ".PP\n" : ".SS " + prose(section.heading) + "\n");
        blocks(section);
      }
    options();
    exit_status();
    placed("Environment", "ENVIRONMENT");
    placed("Files", "FILES");
    placed("Examples", "EXAMPLES");
    see_also();
    return std::move(roff_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    roff_ += fmt::format(format, std::forward<Args>(args)...);
  }
  void add(const std::string& text) { roff_ += text; }

  [[nodiscard]] bool is_program() const { return &page_ == &program_.program; }

  [[nodiscard]] std::string title() const {
    return is_program() ? page_.name : program_.program.name + '-' + page_.name;
  }

  [[nodiscard]] std::string summary() const {
    std::string text = first_clause(page_.about);
    const std::string itself = page_.name + ' ';
    if (text.starts_with(itself)) text.erase(0, itself.size());
    return text;
  }

  static bool has_place_of_its_own(std::string_view heading) {
    constexpr std::string_view kPlaces[] = {"Exit codes", "Environment", "Files", "Examples",
                                            "See also"};
    return std::ranges::find(kPlaces, heading) != std::end(kPlaces);
  }

  void synopsis() {
    add(".SH SYNOPSIS\n");
    if (is_program() && !program_.commands.empty()) {
      add("{0} {1} [{2}...]\n.br\n{0} {3} | {4}\n", bold(page_.name), italic("COMMAND"),
          italic("OPTION"), bold("--help"), bold("--version"));
      return;
    }
    add("{}", bold(is_program() ? page_.name : program_.program.name + ' ' + page_.name));
    for (const OptionGroupReference& group : page_.groups)
      for (const OptionReference& option : group.options)
        if (option.required) add(" {} {}", bold(option.names.back()), italic(option.type));
    add(" [{}...]", italic("OPTION"));
    for (const OptionReference& argument : page_.arguments)
      roff_ +=
          argument.repeatable ? " [" + italic(argument.type) + "...]" : ' ' + italic(argument.type);
    add("\n");
  }

  void commands() {
    if (program_.commands.empty()) return;
    add(".SH COMMANDS\nEach has a page of its own.\n");
    for (const CommandReference& command : program_.commands)
      add(".TP\n{}({})\n{}\n", bold(program_.program.name + '-' + command.name), program_.section,
          prose(one_line(command.about)));
  }

  void blocks(const FooterSection& section) {
    for (const FooterBlock& block : blocks_of(section, program_.program.name)) {
      if (!block.prose.empty()) add(".PP\n{}\n", prose(block.prose));
      for (const auto& [term, text] : block.definitions)
        add(".TP\n{}\n{}\n", bold(term), prose(text));
      if (block.verbatim.empty()) continue;
      add(".PP\n.RS 4\n.nf\n");
      for (const std::string& line : block.verbatim) add("{}\n", literal(line));
      add(".fi\n.RE\n");
    }
  }

  void option(const OptionReference& option) {
    std::vector<std::string> names;
    for (const std::string& name : option.names) names.push_back(bold(name));
    add(".TP\n{}{}\n", fmt::join(names, ", "),
        option.type.empty() ? "" : ' ' + italic(option.type));
    add("{}\n", option.help.empty() ? "\\&" : prose(option.help));
  }

  void options() {
    add(".SH OPTIONS\n");
    for (const OptionReference& argument : page_.arguments)
      add(".TP\n{}{}\n{}\n", italic(argument.type), argument.repeatable ? " ..." : "",
          prose(argument.help));
    for (const OptionGroupReference& group : page_.groups) {
      if (page_.groups.size() > 1) add(".SS {}\n", prose(group.name));
      for (const OptionReference& each : group.options) option(each);
    }
  }

  [[nodiscard]] const FooterSection* find(std::string_view heading) const {
    const auto found = std::ranges::find(sections_, heading, &FooterSection::heading);
    return found == sections_.end() ? nullptr : &*found;
  }

  void exit_status() {
    add(".SH \"EXIT STATUS\"\n");
    if (const FooterSection* section = find("Exit codes")) {
      for (const auto& [code, meaning] : exit_codes_of(*section))
        add(".TP\n{}\n{}\n", bold(code), prose(meaning));
    } else {
      add("As {}({}) says.\n", bold(program_.program.name), program_.section);
    }
  }

  void placed(std::string_view heading, std::string_view title) {
    const FooterSection* section = find(heading);
    if (section == nullptr) return;
    add(".SH {}\n", title);
    blocks(*section);
  }

  void see_also() {
    std::vector<std::string> pages;
    const auto page = [&pages](const std::string& name, int section) {
      pages.push_back(fmt::format("{}({})", bold(name), section));
    };
    if (is_program())
      for (const CommandReference& command : program_.commands)
        page(program_.program.name + '-' + command.name, program_.section);
    else
      page(program_.program.name, program_.section);
    if (const FooterSection* section = find("See also"))
      for (const std::string& line : section->lines) pages.push_back(prose(line));
    if (!pages.empty()) add(".SH \"SEE ALSO\"\n{}\n", fmt::join(pages, ",\n"));
  }

  const ProgramReference& program_;
  const CommandReference& page_;
  std::vector<FooterSection> sections_;
  std::string roff_;
};

}  // namespace

std::string man_page_name(const ProgramReference& program, const CommandReference& page) {
  const std::string& name = program.program.name;
  return fmt::format("{}{}.{}", name, &page == &program.program ? "" : '-' + page.name,
                     program.section);
}

std::string man_page(const ProgramReference& program, const CommandReference& page,
                     const std::string& date) {
  return Page(program, page).write(date);
}

}  // namespace ingot::agent
