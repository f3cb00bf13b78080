// Comparison of names that HTTP writes in either case (RFC 9110 §5.1).
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

}  // namespace polyglot::server
