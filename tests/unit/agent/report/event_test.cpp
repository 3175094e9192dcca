// Events: their text, their order, and what a slow or missing reader does to them.
#include "agent/report/event.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "agent/report/event_queue.hpp"
#include "agent/report/json_lines.hpp"

namespace ingot::agent {
namespace {

namespace json = boost::json;
constexpr std::string_view kId = "0b7c5e0e-0000-4000-8000-000000000000";

json::object parse(const std::string& text) {
  EXPECT_EQ(text.find('\n'), std::string::npos);
  return json::parse(text).as_object();
}

JobResult good_result() {
  JobResult result;
  result.image = {{DigestType::sha256, std::string(64, 'a')}, "qcow2", "none", 3758096384};
  result.verified = true;
  FinishedTable& table = result.finished.emplace();
  table.kind = "gpt";
  table.identifier = "0b7c5e0e-0000-4000-8000-000000000001";
  table.config_drive.emplace().partition = 3;
  result.disk = DiskState::complete;
  result.seconds = 0.0604;
  result.peak_rss = 12345;
  return result;
}

// All types, with everything that is known and with nothing.
std::vector<Event> all_events() {
  ProgressSnapshot progress;
  progress.expected = 1000;
  progress.received = 333;
  progress.virtual_size = 5000;
  progress.percent = 33.333333;
  progress.receive_rate = 1234.5;
  progress.eta = std::chrono::seconds(7);
  JobResult failed;
  failed.error = Error(Errc::source_http_status, "getting it: 404", "check the URL");
  JobResult cancelled;
  cancelled.error = Error(Errc::cancelled, "cancelled by SIGINT");
  return {
      started_event({.image_url = "https://me:pw@example.org/a?sig=secret", .device = "/dev/sda"}),
      phase_event(Phase::write),
      progress_event(ProgressSnapshot{}),
      progress_event(progress),
      retry_event(1, "connection reset", 512),
      note_event("no ranges"),
      result_event(good_result()),
      result_event(failed),
      result_event(cancelled)};
}

// Holds events against docs/events.schema.json, as far as that uses JSON Schema: types, required,
// enum, const, minimum, maximum, pattern, $ref, and the branch for the event's type.
class Schema {
 public:
  Schema() {
    const auto path = std::filesystem::path(INGOT_SOURCE_DIR) / "docs/events.schema.json";
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    root_ = json::parse(text.str()).as_object();
  }

  // What is wrong with `event`, or "".
  std::string check(const json::object& event) const {
    std::string wrong = check_object(root_, event);
    for (const auto& branch : root_.at("oneOf").as_array())
      if (branch.at("properties").at("event").at("const") == event.at("event")) {
        std::set<std::string> known;
        for (const auto* part : {&root_, &branch.as_object()})
          for (const auto& member : part->at("properties").as_object()) known.emplace(member.key());
        for (const auto& member : event)
          if (!known.contains(std::string(member.key())))
            wrong += " undocumented: " + std::string(member.key());
        return wrong + check_object(branch.as_object(), event);
      }
    return wrong + " no such event";
  }

 private:
  std::string check_object(const json::object& schema, const json::object& value) const {
    std::string wrong;
    if (const auto* required = schema.if_contains("required"))
      for (const auto& key : required->as_array())
        if (!value.contains(key.as_string())) wrong += " missing: " + json::serialize(key);
    if (const auto* properties = schema.if_contains("properties"))
      for (const auto& [key, rule] : properties->as_object())
        if (const auto* member = value.if_contains(key)) {
          if (const std::string why = check_value(rule.as_object(), *member); !why.empty())
            wrong += " " + std::string(key) + ":" + why;
        }
    return wrong;
  }

  std::string check_value(const json::object& schema, const json::value& value) const {
    if (const auto* reference = schema.if_contains("$ref")) {
      const std::string name(reference->as_string().subview(8));  // "#/$defs/"
      return check_value(root_.at("$defs").at(name).as_object(), value);
    }
    const auto matches = [&value](std::string_view type) {
      return (type == "string" && value.is_string()) || (type == "null" && value.is_null()) ||
             (type == "boolean" && value.is_bool()) || (type == "object" && value.is_object()) ||
             (type == "integer" && (value.is_int64() || value.is_uint64())) ||
             (type == "number" && value.is_number());
    };
    if (const auto* type = schema.if_contains("type")) {
      bool fits = false;
      if (type->is_string()) fits = matches(type->as_string());
      if (type->is_array())
        for (const auto& one : type->as_array()) fits = fits || matches(one.as_string());
      if (!fits) return " wrong type";
    }
    if (const auto* values = schema.if_contains("enum")) {
      bool found = false;
      for (const auto& one : values->as_array()) found = found || one == value;
      if (!found) return " not in the enumeration";
    }
    if (const auto* one = schema.if_contains("const"); one != nullptr && *one != value)
      return " not the constant";
    if (const auto* least = schema.if_contains("minimum"); least != nullptr && value.is_number())
      if (value.to_number<double>() < least->to_number<double>()) return " too small";
    if (const auto* most = schema.if_contains("maximum"); most != nullptr && value.is_number())
      if (value.to_number<double>() > most->to_number<double>()) return " too large";
    if (const auto* pattern = schema.if_contains("pattern"); pattern != nullptr)
      if (!std::regex_search(std::string(value.as_string()),
                             std::regex(std::string(pattern->as_string()))))
        return " does not match";
    return value.is_object() ? check_object(schema, value.as_object()) : "";
  }

  json::object root_;
};

TEST(Event, EveryOneFollowsTheSchema) {
  const Schema schema;
  std::uint64_t seq = 0;
  for (const Event& event : all_events()) {
    const std::string text = to_json(event, seq++, kId);
    EXPECT_EQ(schema.check(parse(text)), "") << text;
  }
}

TEST(Event, SecretsAreRedacted) {
  const std::string text = to_json(all_events().front(), 0, kId);
  EXPECT_EQ(text.find("pw"), std::string::npos) << text;
  EXPECT_EQ(text.find("secret"), std::string::npos) << text;
  EXPECT_NE(text.find("***"), std::string::npos) << text;
}

TEST(Event, ResultSaysHowItEnded) {
  auto object = parse(to_json(result_event(good_result()), 3, kId));
  EXPECT_EQ(object.at("status"), "succeeded");
  EXPECT_TRUE(object.at("error").is_null());
  EXPECT_EQ(object.at("digest").at("value").as_string(), std::string(64, 'a').c_str());
  EXPECT_EQ(object.at("virtual_size").to_number<std::uint64_t>(), 3758096384U);
  EXPECT_EQ(object.at("seconds").to_number<double>(), 0.060);
  JobResult failed;
  failed.error = Error(Errc::device_too_small, "m", "a").with_context("c");
  object = parse(to_json(result_event(failed), 3, kId));
  EXPECT_EQ(object.at("status"), "failed");
  EXPECT_EQ(object.at("error").at("code"), "device.too-small");
  EXPECT_EQ(object.at("error").at("class"), "device");
  EXPECT_EQ(object.at("error").at("message"), "c: m");
  EXPECT_TRUE(object.at("digest").is_null());
  failed.error = Error(Errc::cancelled, "m");
  EXPECT_EQ(parse(to_json(result_event(failed), 3, kId)).at("status"), "cancelled");
}

TEST(Event, TextOfAnyKindIsValidJson) {
  for (const std::string& text :
       {std::string("\xff\xfe broken"), std::string("quote \" and \\"), std::string("nul\0x", 5),
        std::string("esc \x1b[0m\n"), std::string("cut \xe2\x82"), std::string("\xed\xa0\x80"),
        std::string("\xc0\xaf"), std::string("gr\u00fcn")}) {
    const auto object = parse(to_json(note_event(text), 0, kId));
    if (text.rfind("gr", 0) == 0) {
      EXPECT_EQ(object.at("text"), "gr\u00fcn");
    }
  }
}

TEST(Event, TimeIsRfc3339) {
  using namespace std::chrono;
  EXPECT_EQ(rfc3339(system_clock::time_point(milliseconds(1769903999123))),
            "2026-01-31T23:59:59.123Z");
}

TEST(Event, UuidIsVersion4AndRandom) {
  const std::regex form("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    seen.insert(random_uuid());
    EXPECT_TRUE(std::regex_match(*seen.rbegin(), form)) << *seen.rbegin();
  }
  EXPECT_EQ(seen.size(), 100U);
}

TEST(Event, CloudEventHasItsAttributes) {
  const auto object = parse(to_cloud_event(phase_event(Phase::flush), 7, kId));
  EXPECT_EQ(object.at("specversion"), "1.0");
  EXPECT_EQ(object.at("type"), "io.ingot.deploy.phase.v1");
  EXPECT_EQ(object.at("source").as_string(), ("urn:uuid:" + std::string(kId)).c_str());
  EXPECT_EQ(object.at("id"), "7");
  EXPECT_EQ(object.at("datacontenttype"), "application/json");
  EXPECT_EQ(object.at("data").at("event"), "phase");
  EXPECT_EQ(object.at("data").at("seq").to_number<int>(), 7);
  EXPECT_EQ(object.at("time"), object.at("data").at("time"));
}

std::vector<std::string> drain(EventQueue& queue) {
  std::vector<std::string> types;
  while (const auto next = queue.pop(std::chrono::steady_clock::now())) {
    EXPECT_EQ(next->seq, types.size());
    types.push_back(next->event.type);
  }
  return types;
}

TEST(EventQueue, NewerProgressReplacesOlder) {
  EventQueue queue;
  for (int i = 0; i < 1000; ++i) queue.push(progress_event({}));
  queue.push(phase_event(Phase::flush));
  queue.push(progress_event({}));
  queue.push(result_event({}));
  queue.push(progress_event({}));  // after the result: nothing
  EXPECT_EQ(drain(queue), (std::vector<std::string>{"progress", "phase", "progress", "result"}));
}

TEST(EventQueue, IsBoundedAndKeepsTheResult) {
  EventQueue queue;
  for (int i = 0; i < 10'000; ++i) queue.push(retry_event(i + 1, "r", 0));
  queue.push(result_event({}));
  EXPECT_GT(queue.lost(), 9000U);
  const auto types = drain(queue);
  EXPECT_EQ(types.size(), EventQueue::kCapacity);
  EXPECT_EQ(types.back(), "result");
}

std::vector<std::string> lines_of(int fd) {
  std::string text;
  char part[4096];
  for (ssize_t got = 0; (got = ::read(fd, part, sizeof part)) > 0;)
    text.append(part, static_cast<std::size_t>(got));
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(JsonLines, OneNumberedObjectALine) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  {
    JsonLines out(ends[1], std::string(kId), std::chrono::seconds(5));
    for (const Event& event : {started_event({.image_url = "u", .device = "d", .dry_run = true}),
                               phase_event(Phase::write)})
      out.push(event);
    out.push(result_event({}));
    EXPECT_EQ(out.finish(), "");
  }
  ::close(ends[1]);
  const auto lines = lines_of(ends[0]);
  ::close(ends[0]);
  ASSERT_EQ(lines.size(), 3U);
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_EQ(parse(lines[i]).at("seq").to_number<std::size_t>(), i);
  EXPECT_EQ(parse(lines.back()).at("event"), "result");
}

TEST(JsonLines, AReaderThatGoesAwayIsSaid) {
  ::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  JsonLines out(ends[1], std::string(kId), std::chrono::seconds(5));
  out.push(result_event({}));
  EXPECT_NE(out.finish().find("Broken pipe"), std::string::npos);
  ::close(ends[1]);
}

TEST(JsonLines, AReaderThatTakesNothingIsGivenUp) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  JsonLines out(ends[1], std::string(kId), std::chrono::milliseconds(100));
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) out.push(note_event(std::string(4000, 'x')));
  out.push(result_event({}));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << "push() waited";
  EXPECT_NE(out.finish(), "");
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace ingot::agent
