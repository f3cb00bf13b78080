#include "server/http_target.hpp"

#include <algorithm>
#include <charconv>

#include "core/hex.hpp"
#include "server/http_text.hpp"

namespace polyglot::server {
namespace {

bool begins_with(std::string_view text, std::string_view scheme) {
  return text.size() >= scheme.size() && equal_ignoring_case(text.substr(0, scheme.size()), scheme);
}

}  // namespace

HttpTarget HttpTarget::parse(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.empty() || target.front() == '/' || !begins_with(target, scheme)) continue;
    const std::size_t end = target.find_first_of("/?", scheme.size());
    target = end == std::string_view::npos ? std::string_view("/") : target.substr(end);
    break;
  }
  target = target.substr(0, target.find('#'));
  const std::size_t question = target.find('?');
  if (question == std::string_view::npos) return {target, {}};
  const std::string_view path = target.substr(0, question);
  return {path.empty() ? std::string_view("/") : path, target.substr(question + 1)};
}

bool percent_decode(std::string& out, std::string_view text, bool plus) {
  if (text.find('%') == std::string_view::npos && !plus) {
    out.append(text);
    return true;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return false;
      const int high = core::hex_value(text[i + 1]);
      const int low = core::hex_value(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(plus && c == '+' ? ' ' : c);
    }
  }
  return true;
}

std::optional<Query> parse_query(std::string_view query) {
  Query parameters;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto& [name, value] = parameters.emplace_back();
    if (!percent_decode(name, pair.substr(0, equals), true)) return std::nullopt;
    if (equals < pair.size() && !percent_decode(value, pair.substr(equals + 1), true)) return std::nullopt;
  }
  return parameters;
}

bool parse_offset(std::string_view text, std::uint64_t& offset) {
  if (text.empty() || text.size() > 19) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  return error == std::errc() && end == text.data() + text.size() && offset <= kMaxOffset;
}

bool is_plain(std::string_view text) {
  std::uint8_t others = 0;  // without a way out of the loop, many are looked at at once
  for (const char c : text) others |= static_cast<std::uint8_t>(static_cast<std::uint8_t>(c - 0x20) >= 0x5f);
  return others == 0;
}

}  // namespace polyglot::server
