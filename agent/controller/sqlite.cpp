#include "agent/controller/sqlite.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

namespace ingot::agent {
namespace {

// The state file is on a disk that may be full or broken, which people can repair.
Error sqlite_error(sqlite3* database, const std::string& path) {
  // The primary code, which the extended one holds in its low byte.
  const int code = database != nullptr ? ::sqlite3_errcode(database) & 0xFF : SQLITE_NOMEM;
  const char* advice = "";
  if (code == SQLITE_FULL) advice = "make room on the file system that holds it";
  if (code == SQLITE_CANTOPEN || code == SQLITE_READONLY || code == SQLITE_PERM)
    advice = "name a file in a directory that this user may write to";
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    advice =
        "save what can be saved (`sqlite3 FILE .recover`), or move it away: a new one is made, and "
        "no machine counts as installed: each one that asks is installed again";
  return {Errc::write_io,
          fmt::format("the state file {}: {}", path,
                      database != nullptr ? ::sqlite3_errmsg(database) : "out of memory"),
          advice};
}

}  // namespace

SqliteStatement::~SqliteStatement() {
  ::sqlite3_finalize(statement_);
}

SqliteStatement& SqliteStatement::bind(int index, std::int64_t value) {
  ::sqlite3_bind_int64(statement_, index, value);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, std::string_view value) {
  ::sqlite3_bind_text64(statement_, index, value.data(), value.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
  return *this;
}

Result<bool> SqliteStatement::step() {
  switch (::sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return tl::unexpected(sqlite_error(database_, path_));
  }
}

void SqliteStatement::reset() noexcept {
  ::sqlite3_reset(statement_);
  ::sqlite3_clear_bindings(statement_);
}

std::int64_t SqliteStatement::integer(int column) const {
  return ::sqlite3_column_int64(statement_, column);
}

std::string SqliteStatement::text(int column) const {
  const auto* const text = ::sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  const auto size = static_cast<std::size_t>(::sqlite3_column_bytes(statement_, column));
  return {reinterpret_cast<const char*>(text), size};
}

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  // Each connection belongs to one thread at a time: SQLite needs no mutex of its own.
  const int flags =
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
      (mode == Mode::read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const int code = ::sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(handle, path));
  if (code != SQLITE_OK) return tl::unexpected(sqlite_error(handle, path));
  // Readers and the writer never wait for each other in WAL mode, but for a moment at its start.
  ::sqlite3_busy_timeout(handle, 5000);
  // The file may come from anywhere: what it holds is data, and no code of its schema is run but
  // what SQLite itself has for harmless.
  ::sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  ::sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return database;
}

SqliteDatabase::~SqliteDatabase() {
  ::sqlite3_close_v2(handle_);
}

Result<void> SqliteDatabase::execute(const char* sql) {
  if (::sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return tl::unexpected(sqlite_error(handle_, path_));
  return {};
}

Result<std::unique_ptr<SqliteStatement>> SqliteDatabase::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (::sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) !=
      SQLITE_OK)
    return tl::unexpected(sqlite_error(handle_, path_));
  return std::make_unique<SqliteStatement>(handle_, statement, path_);
}

int SqliteDatabase::changes() const {
  return ::sqlite3_changes(handle_);
}

bool SqliteDatabase::in_transaction() const {
  return ::sqlite3_get_autocommit(handle_) == 0;
}

}  // namespace ingot::agent
