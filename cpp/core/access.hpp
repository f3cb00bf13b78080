// Access: which API key may do what in which app.
//
// Keys are kept as SHA-256 digests and compared in constant time: the time of a check does not depend on how much of
// a key is right, nor on which of an app's keys matched, nor on which of them have ended. In development
// `valid_key_<app>` is a key of any app with every scope, and any app exists; otherwise an app exists when it was
// added.
//
// Thread safety: an Access is filled by one thread and then only read.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/api_key.hpp"
#include "core/sha256.hpp"
#include "core/status.hpp"

namespace polyglot::core {

enum Scope : std::uint8_t { kPublish = 1, kHistory = 2, kSubscribe = 4, kAdmin = 8, kPresence = 16 };
// "publish", "history", "subscribe", "admin", "presence"; 0 for any other text.
std::uint8_t parse_scope(std::string_view text);
std::string_view scope_text(Scope scope);

// Lets unordered containers be searched by string_view without a copy.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

class Access {
 public:
  explicit Access(bool development = false) : development_(development) {}

  void add_app(std::string_view app) { apps_.try_emplace(std::string(app)); }
  // Adds the app too when it is new. `scopes` is a sum of Scope. `expires_at`: seconds since 1970, the first at which
  // the key no longer holds; 0: it always holds.
  void add_key(std::string_view app, const Digest& digest, std::uint8_t scopes, std::int64_t expires_at = 0);

  // Ok when the key has the scope at the time `now_s`, in seconds since 1970. unauthorized: no key, or one that is not
  // a key of this app (also when the app does not exist: a stranger cannot find out which apps do), or one that has
  // expired, which only its holder is told. forbidden: a key of this app without the scope; the message names it.
  Status check(std::string_view app, ApiKey& key, Scope scope, std::int64_t now_s) const;
  Status check(std::string_view app, std::string_view key, Scope scope, std::int64_t now_s) const {
    ApiKey once(key);
    return check(app, once, scope, now_s);
  }
  // Whether any key ends; without one, check does not look at the time.
  bool has_ends() const { return !ends_.empty(); }
  // How many keys have expired by then.
  std::size_t expired(std::int64_t now_s) const;
  bool development() const { return development_; }

 private:
  struct Key {
    Digest digest;
    std::uint8_t scopes;
    std::int64_t expires_at;  // kNever for 0
  };
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  std::unordered_map<std::string, std::vector<Key>, TextHash, std::equal_to<>> apps_;
  bool development_;
  std::vector<std::int64_t> ends_;  // of keys that have one
};

}  // namespace polyglot::core
