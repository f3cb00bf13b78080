#include "core/access.hpp"

#include <algorithm>
#include <array>

namespace polyglot::core {
namespace {

struct ScopeName {
  Scope scope;
  std::string_view text;
};
constexpr std::array<ScopeName, 5> kScopeNames = {{{kPublish, "publish"},
                                                   {kHistory, "history"},
                                                   {kSubscribe, "subscribe"},
                                                   {kAdmin, "admin"},
                                                   {kPresence, "presence"}}};
constexpr std::uint8_t kAllScopes = kPublish | kHistory | kSubscribe | kAdmin | kPresence;

// Whether the key is `valid_key_<app>`, in a time that depends on the lengths only.
bool is_development_key(std::string_view key, std::string_view app) {
  constexpr std::string_view kPrefix = "valid_key_";
  if (key.size() != kPrefix.size() + app.size()) return false;
  const bool begins = equal_in_constant_time(key.substr(0, kPrefix.size()), kPrefix);
  const bool ends = equal_in_constant_time(key.substr(kPrefix.size()), app);
  return begins & ends;
}

}  // namespace

std::uint8_t parse_scope(std::string_view text) {
  for (const ScopeName& name : kScopeNames) {
    if (name.text == text) {
      return name.scope;
    }
  }
  return 0;
}

std::string_view scope_text(Scope scope) {
  for (const ScopeName& name : kScopeNames) {
    if (name.scope == scope) {
      return name.text;
    }
  }
  return {};
}

void Access::add_key(std::string_view app, const Digest& digest, std::uint8_t scopes, std::int64_t expires_at) {
  apps_[std::string(app)].push_back({digest, scopes, expires_at == 0 ? kNever : expires_at});
  if (expires_at != 0) ends_.push_back(expires_at);
}

std::size_t Access::expired(std::int64_t now_s) const {
  return static_cast<std::size_t>(std::count_if(ends_.begin(), ends_.end(), [&](auto end) { return end <= now_s; }));
}

Status Access::check(std::string_view app, ApiKey& key, Scope scope, std::int64_t now_s) const {
  if (key.text().empty()) {
    return Status(Code::unauthorized, "No API key was sent.");
  }
  const Digest& digest = key.digest();
  // Every key is compared, also after one that matches; a digest that was added twice has the scopes of both.
  unsigned matched = 0;
  unsigned holds = 0;
  unsigned scopes = 0;
  const auto take = [&](bool equal, std::uint8_t its_scopes, std::int64_t expires_at) {
    const unsigned good = static_cast<unsigned>(equal) & static_cast<unsigned>(now_s < expires_at);
    matched |= static_cast<unsigned>(equal);
    holds |= good;
    scopes |= its_scopes & (0U - good);
  };
  if (development_) {
    take(is_development_key(key.text(), app), kAllScopes, kNever);
  }
  if (const auto found = apps_.find(app); found != apps_.end()) {
    for (const Key& known : found->second) {
      take(equal_in_constant_time(digest, known.digest), known.scopes, known.expires_at);
    }
  }
  if (matched == 0) {
    return Status(Code::unauthorized, "The API key is not a key of this app.");
  }
  if (holds == 0) {
    return Status(Code::unauthorized, "The API key has expired.");
  }
  if ((scopes & scope) == 0) {
    return Status(Code::forbidden, "The API key does not have the scope \"" + std::string(scope_text(scope)) + "\".");
  }
  return {};
}

}  // namespace polyglot::core
