/// Release: a C library's objects as std::unique_ptr.
#pragma once

namespace ingot {

/// A deleter that calls `release`, the library's own function:
/// `std::unique_ptr<X509, Release<X509_free>>`.
template <auto release>
struct Release {
  template <class T>
  void operator()(T* object) const noexcept {
    release(object);
  }
};

}  // namespace ingot
