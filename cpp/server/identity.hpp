// Identity: who a subscriber is, and what it may do.
//
// Thread safety: a value for one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/gateway.hpp"
#include "core/grant.hpp"

namespace polyglot::server {

struct Identity {
  std::string app;
  std::string api_key;
  std::shared_ptr<const core::Grant> grant;  // of a token; null without one
  std::string source_ip;
  core::Hold connection = {};  // counts for as long as whoever is connected has this

  // Ok when the API key, or else the grant, allows it; `in_place` counts instead of the identity's own grant. Errors as
  // Gateway::authorize and Grant::check.
  core::Status may(const core::Gateway& gateway, std::string_view channel, core::Scope scope,
                   const core::Grant* in_place = nullptr) const;
};

// Whether a credential is a token rather than an API key: a JWT has two dots.
bool looks_like_token(std::string_view credential);
// The token in the value of an Authorization field; empty when that has none.
std::string_view bearer_token(std::string_view authorization);

}  // namespace polyglot::server
