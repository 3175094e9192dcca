/// EventOutlet: a place events are sent to.
#pragma once

#include <string>

#include "agent/report/event.hpp"

namespace ingot::agent {

/// One for each stream of events. Delivers on a thread of its own, in order.
class EventOutlet {
 public:
  virtual ~EventOutlet() = default;
  /// Told of the terminal event before any outlet gets it: to make sure that it cannot be lost.
  /// Nothing but it may follow. May write a file; waits for nobody.
  virtual void keep(const Event& /*terminal*/) {}
  /// Never waits. Nothing may follow the terminal event.
  virtual void push(Event event) = 0;
  /// To be called after the terminal event was pushed: waits, bounded, until it is delivered.
  /// Returns what could not be delivered and why, for people; "" when all was.
  virtual std::string finish() = 0;
};

}  // namespace ingot::agent
