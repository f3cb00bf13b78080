// AppTable: which apps have counters of their own. The first kMaxApps that publish or are read get a place each, for
// the life of the file; all others share the last one, so that nobody can make metrics without end.
//
// A writer that is killed while it enters an app leaves a slot that nothing leads to; the next one goes on with it.
//
// Thread safety: all of it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/segment.hpp"

namespace polyglot::core {

class AppTable {
 public:
  explicit AppTable(Segment& segment) : segment_(segment), slots_(segment.map().apps()) {}

  // The app's place, or kMaxApps when there are more. REQUIRES: the app passed check_app.
  std::size_t place(std::string_view app);
  // The apps by place.
  std::vector<std::string> names() const;

 private:
  std::size_t find(std::string_view app, std::uint64_t hash) const;
  std::string_view name(std::size_t place) const;

  Segment& segment_;
  AppSlots& slots_;
};

}  // namespace polyglot::core
