// The target of an HTTP request, taken apart: path and query, and their percent-encoding (RFC 3986 §2.1, §3.4).
//
// Thread safety: values and pure functions. Slices live as long as the target.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polyglot::server {

struct HttpTarget {
  std::string_view path;   // as sent
  std::string_view query;  // as sent, without the question mark

  // Origin form and absolute form, whose scheme and authority are left out (RFC 9112 §3.2). Anything else is all path.
  static HttpTarget parse(std::string_view target);
};

// Appends `text` with its escapes decoded to `out`; `plus` stands for a space in queries. False when an escape is
// malformed; `out` then ends where it is.
bool percent_decode(std::string& out, std::string_view text, bool plus = false);

// The parameters of a query, in order and decoded. Nothing when an escape is malformed.
using Query = std::vector<std::pair<std::string, std::string>>;
std::optional<Query> parse_query(std::string_view query);

// Offsets and counts as clients write them: plain digits, at most kMaxOffset.
inline constexpr std::uint64_t kMaxOffset = (std::uint64_t{1} << 63) - 1;
bool parse_offset(std::string_view text, std::uint64_t& offset);

// ASCII without control characters.
bool is_plain(std::string_view text);

}  // namespace polyglot::server
