// Limits: how much an app may publish and have open. One without limits of its own has those of app "*", if there are
// any; nothing is merged.
//
// What an app uses of them stands in the limit table (limit_table.hpp), for all workers together.
//
// Thread safety: filled by one thread, then only read. Pointers live as long as the Limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/access.hpp"
#include "core/token_bucket.hpp"

namespace polyglot::core {

// Of each kind: no limit when it is absent or 0.
struct AppLimits {
  std::optional<TokenBucket> events = {};  // published
  std::optional<TokenBucket> bytes = {};   // of these, each as {"type":…,"data":…}
  std::uint32_t connections = 0;           // sockets, event streams and long-poll sessions that are open
  std::uint32_t subscriptions = 0;         // channels that they have joined
  std::uint32_t channels = 0;              // that have a history
};

class Limits {
 public:
  void add(std::string_view app, const AppLimits& limits) { apps_.insert_or_assign(std::string(app), limits); }
  // Null: the app has none.
  const AppLimits* find(std::string_view app) const {
    if (apps_.empty()) return nullptr;
    auto found = apps_.find(app);
    if (found == apps_.end()) found = apps_.find(std::string_view("*"));
    return found == apps_.end() ? nullptr : &found->second;
  }

 private:
  std::unordered_map<std::string, AppLimits, TextHash, std::equal_to<>> apps_;
};

}  // namespace polyglot::core
