#include "core/access.hpp"

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

void Access::add_key(std::string_view app, const Digest& digest, std::uint8_t scopes) {
  apps_[std::string(app)].push_back({digest, scopes});
}

Status Access::check(std::string_view app, ApiKey& key, Scope scope) const {
  if (key.text().empty()) {
    return Status(Code::unauthorized, "No API key was sent.");
  }
  const Digest& digest = key.digest();
  // Every key is compared, also after one that matches; a digest that was added twice has the scopes of both.
  unsigned matched = 0;
  unsigned scopes = 0;
  const auto take = [&](bool equal, std::uint8_t its_scopes) {
    matched |= static_cast<unsigned>(equal);
    scopes |= its_scopes & (0U - static_cast<unsigned>(equal));
  };
  if (development_) {
    take(is_development_key(key.text(), app), kAllScopes);
  }
  if (const auto found = apps_.find(app); found != apps_.end()) {
    for (const Key& known : found->second) {
      take(equal_in_constant_time(digest, known.digest), known.scopes);
    }
  }
  if (matched == 0) {
    return Status(Code::unauthorized, "The API key is not a key of this app.");
  }
  if ((scopes & scope) == 0) {
    return Status(Code::forbidden, "The API key does not have the scope \"" + std::string(scope_text(scope)) + "\".");
  }
  return {};
}

}  // namespace polyglot::core
