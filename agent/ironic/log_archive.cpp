#include "agent/ironic/log_archive.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <ctime>
#include <utility>

namespace ingot::agent {
namespace {

struct FreeArchive {
  void operator()(archive* a) const noexcept { ::archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const noexcept { ::archive_entry_free(e); }
};

la_ssize_t append(archive*, void* out, const void* data, std::size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

}  // namespace

struct LogArchive::Impl {
  std::string out;  // outlives the archive, which writes its rest when it is freed
  std::unique_ptr<archive, FreeArchive> writer{::archive_write_new()};
  bool open = false;

  tl::unexpected<Error> failed() const {
    const char* why = writer ? ::archive_error_string(writer.get()) : nullptr;
    return fail(Errc::internal_bug,
                fmt::format("packing logs: {}", why != nullptr ? why : "no memory"));
  }
};

LogArchive::LogArchive() : impl_(std::make_unique<Impl>()) {
  archive* const writer = impl_->writer.get();
  impl_->open = writer != nullptr && ::archive_write_add_filter_gzip(writer) == ARCHIVE_OK &&
                ::archive_write_set_format_pax_restricted(writer) == ARCHIVE_OK &&
                ::archive_write_open(writer, &impl_->out, nullptr, &append, nullptr) == ARCHIVE_OK;
}

LogArchive::~LogArchive() = default;

Result<void> LogArchive::add(const std::string& name, std::string_view content) {
  if (!impl_->open) return impl_->failed();
  const std::unique_ptr<archive_entry, FreeEntry> entry(::archive_entry_new());
  if (!entry) return impl_->failed();
  ::archive_entry_set_pathname(entry.get(), name.c_str());
  ::archive_entry_set_filetype(entry.get(), AE_IFREG);
  ::archive_entry_set_perm(entry.get(), 0600);
  ::archive_entry_set_mtime(entry.get(), std::time(nullptr), 0);
  ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
  archive* const writer = impl_->writer.get();
  if (::archive_write_header(writer, entry.get()) < ARCHIVE_WARN ||
      ::archive_write_data(writer, content.data(), content.size()) !=
          static_cast<la_ssize_t>(content.size()))
    return impl_->failed();
  return {};
}

Result<std::string> LogArchive::finish() {
  if (!impl_->open || ::archive_write_close(impl_->writer.get()) != ARCHIVE_OK)
    return impl_->failed();
  return std::move(impl_->out);
}

}  // namespace ingot::agent
