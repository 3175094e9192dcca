// A small grammar, and what man pages and completions make of it.
#include "agent/reference/reference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "agent/reference/allowed_values.hpp"
#include "agent/reference/completions.hpp"
#include "agent/reference/footer.hpp"
#include "agent/reference/man_page.hpp"
#include "agent/reference/words.hpp"

namespace ingot::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class Reference : public testing::Test {
 protected:
  Reference() : app_("tool does what tools do: this and that.", "tool") {
    app_.set_version_flag("--version", "tool 1");
    CLI::App& cut = *app_.add_subcommand("cut", "Cuts a board, in one pass: with a saw.");
    cut.add_option("--mode", text_, "how: fast,\nor slow")->type_name("MODE")->group("Saw");
    allow_only(*cut.get_option("--mode"), {"fast", "slow"});
    cut.add_option("--kind", text_, "of wood")->type_name("KIND");
    suggest(*cut.get_option("--kind"), {"oak"});
    cut.add_option("--board", text_, "the board (required)")->type_name("DEV");
    cut.add_option("--retry", text_, "how long")->type_name("forever|TIME");
    cut.add_option("--plan", texts_, "it's the [plan]")->type_name("FILE|URL");
    cut.add_option("--to", text_, "where")->type_name("DIR");
    cut.add_flag("--dry", flag_, "only look");
    cut.add_flag("--secret", flag_, "")->group("");
    cut.footer(R"(
Examples:
  With a plan, \ and so on:
    tool cut --plan 'a'
    .dotted
Exit codes:
  0 done   1 a long
  story   2 usage)");
    reference_ = read_reference(app_);
    reference_.version = "1";
  }

  const OptionReference& option(const std::string& name) {
    for (const auto& group : reference_.commands.at(0).groups)
      for (const auto& each : group.options)
        if (each.names.back() == name) return each;
    throw std::out_of_range(name);
  }

  std::string text_;
  std::vector<std::string> texts_;
  bool flag_ = false;
  CLI::App app_;
  ProgramReference reference_;
};

TEST_F(Reference, IsWhatTheGrammarDeclares) {
  ASSERT_EQ(reference_.commands.size(), 1U);
  EXPECT_EQ(option("--mode").help, "how: fast, or slow");
  EXPECT_THAT(option("--mode").values, ElementsAre("fast", "slow"));
  EXPECT_TRUE(option("--board").required);
  EXPECT_TRUE(option("--plan").repeatable);
  EXPECT_FALSE(option("--to").repeatable);
  EXPECT_THROW(option("--secret"), std::out_of_range);
  EXPECT_EQ(kind_of(option("--mode")), ValueKind::fixed);
  EXPECT_EQ(kind_of(option("--retry")), ValueKind::fixed);
  EXPECT_THAT(fixed_values(option("--retry")), ElementsAre("forever"));
  EXPECT_EQ(kind_of(option("--board")), ValueKind::device);
  EXPECT_EQ(kind_of(option("--plan")), ValueKind::file);
  EXPECT_EQ(kind_of(option("--to")), ValueKind::directory);
  EXPECT_EQ(kind_of(option("--dry")), ValueKind::none);
}

TEST_F(Reference, ValuesAreCheckedWhileParsing) {
  const auto message = [this](const std::string& words) -> std::string {
    try {
      app_.parse(words);
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_EQ(message("cut --mode medium"), "--mode: 'medium' is neither fast nor slow");
  EXPECT_EQ(message("cut --mode slow --kind pine"), "");
  EXPECT_THAT(app_.get_subcommand("cut")->help(), HasSubstr("--mode MODE "));
}

TEST_F(Reference, AManPageEscapesWhatRoffWouldTake) {
  const std::string page = man_page(reference_, reference_.commands[0], "2025-01-31");
  EXPECT_EQ(man_page_name(reference_, reference_.commands[0]), "tool-cut.1");
  EXPECT_EQ(man_page_name(reference_, reference_.program), "tool.1");
  EXPECT_THAT(page, HasSubstr(".TH TOOL\\-CUT 1 \"2025-01-31\" \"tool 1\""));
  EXPECT_THAT(page, HasSubstr("tool\\-cut \\- Cuts a board, in one pass\n"));
  EXPECT_THAT(page,
              HasSubstr("\n\\fBtool cut\\fR \\fB\\-\\-board\\fR \\fIDEV\\fR [\\fIOPTION\\fR...]"));
  EXPECT_THAT(page, HasSubstr("With a plan, \\e and so on:"));
  EXPECT_THAT(page, HasSubstr("\ntool cut \\-\\-plan \\(aqa\\(aq\n\\&.dotted\n"));
  EXPECT_THAT(page, HasSubstr(".TP\n\\fB1\\fR\na long story\n"));
  EXPECT_THAT(page, Not(HasSubstr("secret")));
  EXPECT_THAT(man_page(reference_, reference_.program, ""), HasSubstr("\\fBtool\\-cut\\fR(1)"));
}

TEST_F(Reference, CompletionsKnowValuesFilesAndDisks) {
  const std::string bash = bash_completion(reference_);
  EXPECT_THAT(bash, HasSubstr("cut:--mode)\n            COMPREPLY=($(compgen -W 'fast slow'"));
  EXPECT_THAT(bash, HasSubstr("cut:--board)\n            _ingot_devices\n"));
  const std::string zsh = zsh_completion(reference_);
  EXPECT_THAT(zsh, HasSubstr("'(--mode)--mode=[how]:MODE:(fast slow)'"));
  EXPECT_THAT(zsh, HasSubstr(R"('*--plan=[it'\''s the \[plan\]]:FILE|URL:_files')"));
  const std::string fish = fish_completion(reference_);
  EXPECT_THAT(fish, HasSubstr("-l mode -x -a 'fast slow' -d 'how'\n"));
  EXPECT_THAT(fish, HasSubstr(R"(-l plan -r -F -d 'it\'s the [plan]')"));
}

TEST(Footer, IsTakenApartByItsLayout) {
  const auto sections = parse_footer(R"(
Alone at the edge,
on two lines.

Terms:
  one  the first
       and more
  Prose that is
  filled.
    as it is)");
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_EQ(sections[0].heading, "");
  ASSERT_EQ(blocks_of(sections[0], "tool").size(), 1U);
  EXPECT_EQ(blocks_of(sections[0], "tool")[0].prose, "Alone at the edge, on two lines.");
  EXPECT_EQ(sections[1].heading, "Terms");
  const auto blocks = blocks_of(sections[1], "tool");
  ASSERT_EQ(blocks.size(), 3U);
  EXPECT_THAT(blocks[0].definitions, ElementsAre(Pair("one", "the first and more")));
  EXPECT_EQ(blocks[1].prose, "Prose that is filled.");
  EXPECT_THAT(blocks[2].verbatim, ElementsAre("as it is"));
}

TEST(Footer, ExitCodesMayShareALine) {
  EXPECT_THAT(
      exit_codes_of({"Exit codes", {"0    done", "10 ten   130 ended.", "It was told to"}}),
      ElementsAre(Pair("0", "done"), Pair("10", "ten"), Pair("130", "ended. It was told to")));
}

TEST(Words, AClauseEndsWhereTheDetailsStart) {
  EXPECT_EQ(first_clause("digest of\nthe file (HEX); or so"), "digest of the file");
  EXPECT_EQ(first_clause("(default: 5m)"), "(default: 5m)");
  EXPECT_EQ(first_clause("Done."), "Done");
}

}  // namespace
}  // namespace ingot::agent
