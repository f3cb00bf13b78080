// Grant: what the bearer of a token may do: in one app, by channel pattern, until a time.
//
// It is made from a token that was verified, or by whoever decides in its place, and knows nothing of either. Each
// pattern that matches a channel adds its scopes; what concerns the whole app needs the pattern `*`. The scope admin is
// for API keys alone: a grant never has it, whatever it was allowed.
//
// Thread safety: filled by one thread and then only read, so it is shared as std::shared_ptr<const Grant>.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/access.hpp"
#include "core/channel.hpp"
#include "core/status.hpp"

namespace polyglot::core {

class Grant {
 public:
  // `user_id` is empty when the token names nobody. `expires_at`: seconds since 1970, the first at which it no longer
  // holds; 0: it always holds.
  Grant(std::string app, std::string user_id, std::int64_t expires_at)
      : app_(std::move(app)), user_id_(std::move(user_id)), expires_at_(expires_at) {}

  // `scopes` is a sum of Scope.
  void allow(ChannelPattern pattern, std::uint8_t scopes);

  // Ok when the bearer may do this; `channel` is empty for what concerns the whole app, `now_s` is in seconds since
  // 1970. token_expired: its time is over. forbidden: it is for another app, or no pattern gives the scope in the
  // channel; the message names both.
  Status check(std::string_view app, std::string_view channel, Scope scope, std::int64_t now_s) const;

  const std::string& app() const { return app_; }
  const std::string& user_id() const { return user_id_; }
  std::int64_t expires_at() const { return expires_at_; }

 private:
  std::string app_;
  std::string user_id_;
  std::int64_t expires_at_;
  std::vector<std::pair<ChannelPattern, std::uint8_t>> allowed_;
};

}  // namespace polyglot::core
