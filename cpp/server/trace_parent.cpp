#include "server/trace_parent.hpp"

#include <algorithm>

namespace polyglot::server {
namespace {

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

std::string_view trace_id_of(std::string_view traceparent) {
  // 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, and with later versions perhaps more.
  constexpr std::size_t kSize = 55;
  if (traceparent.size() < kSize) return {};
  const std::string_view version = traceparent.substr(0, 2), trace = traceparent.substr(3, 32),
                         parent = traceparent.substr(36, 16), flags = traceparent.substr(53, 2);
  if (traceparent[2] != '-' || traceparent[35] != '-' || traceparent[52] != '-') return {};
  if (!is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags) || version == "ff") return {};
  if (traceparent.size() > kSize && (version == "00" || traceparent[kSize] != '-')) return {};
  return is_zero(trace) || is_zero(parent) ? std::string_view() : trace;
}

std::string_view traceparent_of(const HttpRequest& request) {
  const std::string_view given = request.value(Field::traceparent);
  return request.repeated(Field::traceparent) || trace_id_of(given).empty() ? std::string_view() : given;
}

}  // namespace polyglot::server
