#include "agent/process/exit_code.hpp"

namespace ingot::agent {

int exit_code(ErrorClass cls) noexcept {
  switch (cls) {
    case ErrorClass::internal:
      return 1;
    case ErrorClass::usage:
      return 2;
    case ErrorClass::source:
      return 3;
    case ErrorClass::checksum:
      return 4;
    case ErrorClass::image:
      return 5;
    case ErrorClass::device:
      return 6;
    case ErrorClass::write:
      return 7;
    case ErrorClass::controller:
      return 8;
    case ErrorClass::access:
      return 9;
    case ErrorClass::cancelled:
      return kExitCancelled;
  }
  return 1;
}

}  // namespace ingot::agent
