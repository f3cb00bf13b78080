// Names as HTTP writes them: tokens (RFC 9110 §5.6.2), in either case (§5.1).
//
// Thread safety: pure functions.
#pragma once

#include <boost/beast/core/string.hpp>
#include <ostream>  // Boost 1.74 forgets it
#include <string_view>

namespace polyglot::server {

// Whether both are the same but for the case of ASCII letters.
inline bool equal_ignoring_case(std::string_view a, std::string_view b) {
  using Text = boost::beast::string_view;
  return boost::beast::iequals(Text(a.data(), a.size()), Text(b.data(), b.size()));
}

inline bool is_token_char(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace polyglot::server
