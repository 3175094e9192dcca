// The state file: what is stored once stays, once, and everything else follows from it.
#include "agent/controller/store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "agent/controller/deploy_event.hpp"
#include "agent/controller/sqlite.hpp"
#include "tests/unit/agent/controller/controller_rig.hpp"

namespace ingot::agent {
namespace {

using Outcome = Appended::Outcome;
using test::Directory;
using test::kDeployment;
using test::kOtherDeployment;

std::unique_ptr<Store> open(const std::string& path, std::vector<std::string>* warnings = nullptr) {
  auto store = Store::open(
      {.path = path, .same_body = same_json, .on_warning = [warnings](const std::string& text) {
         if (warnings != nullptr) warnings->push_back(text);
       }});
  if (!store) {
    ADD_FAILURE() << store.error().message();
    return nullptr;
  }
  return *std::move(store);
}

NewEvent event(const std::string& id, std::int64_t seq, const std::string& type,
               const std::string& machine = "node-1", const std::string& more = {}) {
  return {.deploy_id = id,
          .seq = seq,
          .machine = machine,
          .type = type,
          .time = "2026-01-31T23:59:59.123Z",
          .request = "abc-0",
          .body = test::cloud_event(id, seq, type, more)};
}

NewEvent result(const std::string& id, std::int64_t seq, const std::string& status,
                const std::string& disk) {
  NewEvent made = event(id, seq, "result", "node-1",
                        fmt::format(R"(,"status":"{}","disk_state":"{}")", status, disk));
  made.status = status;
  made.disk = disk;
  return made;
}

Result<Appended> append(Store& store, NewEvent made) {
  std::promise<Result<Appended>> done;
  if (!store.append(std::move(made), [&done](const Result<Appended>& out) { done.set_value(out); }))
    return fail(Errc::write_io, "not taken");
  return done.get_future().get();
}

Outcome outcome(Store& store, NewEvent made) {
  const auto appended = append(store, std::move(made));
  EXPECT_TRUE(appended) << (appended ? "" : appended.error().message());
  return appended ? appended->outcome : Outcome::conflict;
}

TEST(Store, AnEventIsStoredOnce) {
  const Directory dir;
  const auto store = open(dir / "s.db");
  const auto first = append(*store, event(kDeployment, 0, "started"));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->outcome, Outcome::stored);
  EXPECT_TRUE(first->first);
  EXPECT_EQ(outcome(*store, event(kDeployment, 0, "started")), Outcome::duplicate);
  NewEvent spaced = event(kDeployment, 0, "started");
  spaced.body += "  ";
  EXPECT_EQ(outcome(*store, spaced), Outcome::duplicate) << "it says the same";
  EXPECT_EQ(outcome(*store, event(kDeployment, 0, "note")), Outcome::conflict);
  EXPECT_EQ(outcome(*store, event(kDeployment, 1, "note", "node-2")), Outcome::other_machine);
  const auto second = append(*store, event(kDeployment, 1, "note"));
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->first);
  EXPECT_GT(second->id, first->id);
  EXPECT_EQ(store->totals()->events, 2);
}

TEST(Store, WhatIsStoredIsThereForTheNextProcess) {
  const Directory dir;
  {
    const auto store = open(dir / "s.db");
    outcome(*store, event(kDeployment, 0, "started"));
    outcome(*store, event(kDeployment, 4, "progress", "node-1", R"(,"percent":12.5)"));
    outcome(*store, event(kDeployment, 3, "progress", "node-1", R"(,"percent":10)"));
    outcome(*store, result(kDeployment, 5, "succeeded", "complete"));
    EXPECT_EQ(*store->order_reinstall("node-1"), 1);
    EXPECT_EQ(*store->order_reinstall("node-1"), 2);
  }
  const auto store = open(dir / "s.db");
  const auto record = store->machine("node-1");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->reinstalls, 2);
  EXPECT_EQ(record->installed, "abc-0");
  ASSERT_TRUE(record->last);
  EXPECT_EQ(record->last->status, "succeeded");
  EXPECT_EQ(record->last->events, 4);
  ASSERT_EQ(record->last->landmarks.size(), 3U) << "the last of each type";
  EXPECT_EQ(record->last->landmarks[1].seq, 4);
  const auto page = store->events(kDeployment, 0, 2, 1 << 20);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->size(), 2U);
  EXPECT_EQ((*page)[0].seq, 3);
  EXPECT_EQ((*page)[1].body, test::cloud_event(kDeployment, 4, "progress", R"(,"percent":12.5)"));
  EXPECT_EQ(store->events(kDeployment, -1, 100, 1)->size(), 1U) << "bounded in bytes";
}

TEST(Store, ADeploymentThatNeverEndedIsLostOnceAnotherBegins) {
  const Directory dir;
  const auto store = open(dir / "s.db");
  outcome(*store, event(kDeployment, 0, "started"));
  EXPECT_EQ((*store->deployment(kDeployment))->status, "running");
  outcome(*store, event(kOtherDeployment, 0, "started"));
  EXPECT_EQ((*store->deployment(kDeployment))->status, "lost");
  EXPECT_EQ((*store->deployment(kOtherDeployment))->status, "running");
  EXPECT_EQ(store->totals()->lost, 1);
  const auto all = store->deployments("node-1", INT64_MAX, 10);
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ((*all)[0].id, kOtherDeployment) << "newest first";
  EXPECT_EQ(store->deployments("node-1", (*all)[0].first_event, 10)->size(), 1U);
}

TEST(Store, WhatIsOnADiskFollowsFromTheLastThatTouchedIt) {
  const Directory dir;
  const auto store = open(dir / "s.db");
  outcome(*store, result(kDeployment, 9, "succeeded", "complete"));
  outcome(*store, result(kOtherDeployment, 1, "failed", "untouched"));
  EXPECT_EQ(store->machine("node-1")->installed, "abc-0");
  outcome(*store, event("0b7c0b7c-0000-4000-8000-000000000003", 0, "started"));
  const auto record = store->machine("node-1");
  EXPECT_EQ(record->installed, "") << "nobody knows yet";
  EXPECT_EQ(record->installed_before, "abc-0");
}

TEST(Store, EventsAreNeverChangedAndDerivedTablesAreMadeAnew) {
  const Directory dir;
  const std::string path = dir / "s.db";
  {
    const auto store = open(path);
    outcome(*store, event(kDeployment, 0, "started"));
    outcome(*store, result(kDeployment, 2, "failed", "unbootable"));
    store->order_reinstall("node-1");
  }
  {
    const auto database = SqliteDatabase::open(path, SqliteDatabase::Mode::read_write);
    ASSERT_TRUE(database);
    for (const char* sql : {"DELETE FROM events", "UPDATE events SET body = ''",
                            "DELETE FROM orders", "UPDATE orders SET kind = ''"})
      EXPECT_FALSE((*database)->execute(sql)) << sql;
    ASSERT_TRUE((*database)->execute("DROP TABLE deployments"));
  }
  std::vector<std::string> warnings;
  const auto store = open(path, &warnings);
  EXPECT_EQ(warnings.size(), 1U);
  const auto deployment = *store->deployment(kDeployment);
  ASSERT_TRUE(deployment);
  EXPECT_EQ(deployment->status, "failed");
  EXPECT_EQ(deployment->disk, "unbootable");
  EXPECT_EQ(deployment->request, "abc-0");
  EXPECT_EQ(deployment->events, 2);
  EXPECT_EQ(deployment->landmarks.size(), 2U);
}

TEST(Store, AFullDiskIsAnErrorThatPasses) {
  const Directory dir;
  const auto store = open(dir / "s.db");
  outcome(*store, event(kDeployment, 0, "started"));
  // The file system's limit for a file of this process, as a full disk is.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{64 << 10, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::int64_t stored = 0, refused = 0, seq = 1;
  for (; seq < 50; ++seq)
    append(*store, event(kDeployment, seq, "note", "node-1",
                         fmt::format(R"(,"text":"{}")", std::string(4000, 'x'))))
        ? ++stored
        : ++refused;
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(outcome(*store, event(kDeployment, seq, "note")), Outcome::stored);
  EXPECT_EQ(store->totals()->events, stored + 2) << "what was refused is not there";
}

TEST(Store, ManyAtOnceAreTakenInOrder) {
  const Directory dir;
  const auto store = open(dir / "s.db");
  constexpr int kThreads = 4, kEach = 250;
  std::atomic<int> answered = 0, failures = 0;
  std::int64_t last = 0;  // the store's thread's alone
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        const std::string id = fmt::format("0b7c0b7c-0000-4000-8000-00000000000{}", thread);
        for (int seq = 0; seq < kEach; ++seq)
          if (!store->append(event(id, seq, "note", fmt::format("node-{}", thread)),
                             [&](const Result<Appended>& out) {
                               if (!out || out->id <= last) ++failures;
                               if (out) last = out->id;
                               ++answered;
                             }))
            ++failures;
      });
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (answered < kThreads * kEach && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(answered, kThreads * kEach);
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(store->totals()->events, kThreads * kEach);
}

TEST(Store, RefusesFilesThatItCannotUse) {
  const Directory dir;
  const auto refused = [](const std::string& path) {
    const auto store = Store::open({.path = path});
    EXPECT_FALSE(store) << path;
    return store ? std::string() : store.error().message() + " / " + store.error().advice();
  };
  EXPECT_THAT(refused(dir.write("text.db", std::string(8192, 'x'))),
              testing::HasSubstr("not a database"));
  EXPECT_THAT(refused(dir / "none/s.db"), testing::HasSubstr("No such file"));
  {
    const auto newer = SqliteDatabase::open(dir / "newer.db", SqliteDatabase::Mode::read_write);
    ASSERT_TRUE(newer && (*newer)->execute("PRAGMA user_version = 2; CREATE TABLE x (y)"));
  }
  EXPECT_THAT(refused(dir / "newer.db"), testing::HasSubstr("of version 2"));
  const auto store = open(dir / "s.db");
  EXPECT_THAT(refused(dir / "s.db"), testing::HasSubstr("another ingot-controller uses it"));
}

TEST(Store, ADamagedFileIsNotUsed) {
  const Directory dir;
  const std::string path = dir / "s.db";
  {
    const auto store = open(path);
    for (int seq = 0; seq < 200; ++seq)
      outcome(*store, event(kDeployment, seq, "note", "node-1",
                            fmt::format(R"(,"text":"{}")", std::string(500, 'x'))));
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(0, std::ios::end);
    const auto size = static_cast<std::int64_t>(file.tellp());
    for (std::int64_t page = 3; (page + 1) * 4096 < size; page += 2) {
      file.seekp(page * 4096);
      file << std::string(64, '\xff');
    }
  }
  const auto store = Store::open({.path = path});
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Errc::usage_option);
  EXPECT_THAT(store.error().message(), testing::HasSubstr("s.db: "));
}

}  // namespace
}  // namespace ingot::agent
