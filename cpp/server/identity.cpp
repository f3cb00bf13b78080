#include "server/identity.hpp"

#include <algorithm>
#include <ostream>  // Boost 1.74 forgets it

#include "server/clock.hpp"
#include "server/http_text.hpp"

namespace polyglot::server {

core::Status Identity::may(const core::Gateway& gateway, std::string_view channel, core::Scope scope,
                           const core::Grant* in_place) const {
  core::Status status = gateway.authorize(app, channel, api_key, scope);
  const core::Grant* decides = in_place != nullptr ? in_place : grant.get();
  if (status.code() != core::Code::unauthorized || decides == nullptr) return status;
  return decides->check(app, channel, scope, seconds_now());
}

bool looks_like_token(std::string_view credential) {
  return std::count(credential.begin(), credential.end(), '.') == 2;
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size() || !equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return {};
  }
  const std::size_t begin = authorization.find_first_not_of(' ', kScheme.size());
  if (begin == std::string_view::npos) return {};
  return authorization.substr(begin, authorization.find_last_not_of(' ') - begin + 1);
}

}  // namespace polyglot::server
