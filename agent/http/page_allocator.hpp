/// PageAllocator: memory for large buffers that the system has back as soon as they are freed.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <limits>
#include <new>

namespace ingot::agent {

/// An allocator (C++ named requirement) that takes large pieces from the system itself.
///
/// Why not malloc(): it keeps what was freed at the end of an arena other than the first one, tens
/// of MiB once such sizes were asked for, and malloc_trim() does not give that back.
template <class T>
class PageAllocator {
 public:
  using value_type = T;

  PageAllocator() = default;
  template <class Other>
  PageAllocator(const PageAllocator<Other>&) noexcept {}  // NOLINT: allocators convert

  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_alloc();
    const std::size_t size = count * sizeof(T);
    if (size < kLarge) return static_cast<T*>(::operator new(size));
    void* const pages =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    return static_cast<T*>(pages);
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if (count * sizeof(T) < kLarge)
      ::operator delete(memory);
    else
      ::munmap(memory, count * sizeof(T));
  }

  template <class Other>
  bool operator==(const PageAllocator<Other>&) const noexcept {
    return true;
  }

 private:
  static constexpr std::size_t kLarge = 64UL << 10;  // bytes
};

}  // namespace ingot::agent
