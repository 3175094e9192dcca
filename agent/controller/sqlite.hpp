/// A database file and its prepared statements: the only wrapper of sqlite3.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "disk/core/error.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace ingot::agent {

/// A prepared statement. Lives no longer than its database; one thread at a time.
class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, sqlite3_stmt* statement, const std::string& path)
      : database_(database), statement_(statement), path_(path) {}
  ~SqliteStatement();
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  /// Sets parameter `index`, from 1. Text is copied.
  SqliteStatement& bind(int index, std::int64_t value);
  SqliteStatement& bind(int index, std::string_view value);

  /// Whether there is a row (another one). Errors: write.io, with SQLite's words.
  Result<bool> step();
  /// Ends what step() began and forgets the parameters: to be called before they are set anew.
  void reset() noexcept;

  /// Columns of the row, from 0; null is 0 and "".
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;

 private:
  sqlite3* const database_;
  sqlite3_stmt* const statement_;
  const std::string path_;
};

/// A connection to a database file. One thread at a time.
class SqliteDatabase {
 public:
  enum class Mode { read_write, read_only };

  /// Creates the file where there is none, unless it is only to be read.
  /// Errors: write.io, naming the file.
  static Result<std::unique_ptr<SqliteDatabase>> open(const std::string& path, Mode mode);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  /// One or several statements without parameters; rows are passed over.
  Result<void> execute(const char* sql);
  Result<std::unique_ptr<SqliteStatement>> prepare(const char* sql);
  /// Rows that the last INSERT added.
  [[nodiscard]] int changes() const;
  /// Whether a transaction is open.
  [[nodiscard]] bool in_transaction() const;

 private:
  SqliteDatabase(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  sqlite3* const handle_;
  const std::string path_;
};

}  // namespace ingot::agent
