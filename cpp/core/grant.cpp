#include "core/grant.hpp"

namespace polyglot::core {

void Grant::allow(ChannelPattern pattern, std::uint8_t scopes) {
  allowed_.emplace_back(std::move(pattern), scopes);
}

Status Grant::check(std::string_view app, std::string_view channel, Scope scope, std::int64_t now_s) const {
  if (expires_at_ != 0 && now_s >= expires_at_) {
    return {Code::token_expired, "The token has expired."};
  }
  if (app != app_) {
    return {Code::forbidden, "The token is for another app."};
  }
  if (scope == kAdmin) {
    return {Code::forbidden, "A token never has the scope \"admin\"; it takes an API key."};
  }
  for (const auto& [pattern, scopes] : allowed_) {
    // Only a pattern that matches everything matches the empty text, which stands for the whole app.
    if ((scopes & scope) != 0 && pattern.matches(channel)) {
      return {};
    }
  }
  const std::string where = channel.empty() ? "the whole app" : "the channel \"" + std::string(channel) + "\"";
  return {Code::forbidden,
          "The token does not have the scope \"" + std::string(scope_text(scope)) + "\" in " + where + "."};
}

}  // namespace polyglot::core
