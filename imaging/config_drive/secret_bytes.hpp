/// Bytes that are overwritten before their memory is given back: contents of config drives, which
/// hold passwords, keys and tokens.
#pragma once

#include <string.h>

#include <cstddef>
#include <memory>
#include <vector>

namespace ingot::imaging {

/// std::allocator that overwrites what it frees, so that growing, moving and destroying a container
/// leave no copy behind. (Pages may still have been swapped out: that is the machine's business.)
template <class T>
struct WipingAllocator {
  using value_type = T;
  WipingAllocator() = default;
  template <class U>
  WipingAllocator(const WipingAllocator<U>&) noexcept {}  // NOLINT: conversion is the point

  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) noexcept {
    ::explicit_bzero(memory, count * sizeof(T));
    std::allocator<T>().deallocate(memory, count);
  }
  friend bool operator==(const WipingAllocator&, const WipingAllocator&) noexcept { return true; }
};

using SecretBytes = std::vector<std::byte, WipingAllocator<std::byte>>;

}  // namespace ingot::imaging
