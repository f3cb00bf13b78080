// Any bytes as JSON Pointers, one a line, and behind them JSON: what is found is what a slow way of our own finds; in
// what is no JSON nothing worse happens than that nothing is found.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "core/json_numbers.hpp"
#include "core/json_text.hpp"
#include "core/utf8.hpp"
#include "require.hpp"

namespace polyglot::core {
namespace {

std::string decoded(std::string step) {
  for (std::size_t at = step.find("~1"); at != std::string::npos; at = step.find("~1")) step.replace(at, 2, "/");
  for (std::size_t at = step.find("~0"); at != std::string::npos; at = step.find("~0", at + 1))
    step.replace(at, 2, "~");
  return step;
}

// The value that the pointer leads to, step by step; empty when there is none.
std::string_view found_at(std::string_view json, std::string_view pointer) {
  JsonCursor cursor(json);
  std::string_view value;
  if (pointer.empty()) {
    cursor.value(value);
    return value;
  }
  const std::size_t end = std::min(pointer.find('/', 1), pointer.size());
  const std::string step = decoded(std::string(pointer.substr(1, end - 1)));
  std::string_view next;
  if (cursor.next_is('{')) {
    cursor.expect('{');
    if (cursor.next_is('}')) return {};
    do {
      std::string_view name;
      cursor.string(name);
      cursor.expect(':');
      cursor.value(value);
      if (unescape(name) == step) next = value;
    } while (cursor.next_is(',') && cursor.expect(','));
  } else if (cursor.next_is('[')) {
    cursor.expect('[');
    if (cursor.next_is(']')) return {};
    std::size_t index = 0;
    do {
      cursor.value(value);
      if (std::to_string(index++) == step) next = value;
    } while (cursor.next_is(',') && cursor.expect(','));
  }
  return next.empty() ? next : found_at(next, pointer.substr(end));
}

// As JSON text is a number, C reads it; what is beyond a double is infinite to it.
double expected(std::string_view json, std::string_view pointer) {
  const std::string value(found_at(json, pointer));
  if (value.empty() || (value[0] != '-' && (value[0] < '0' || value[0] > '9'))) return std::nan("");
  const double number = std::strtod(value.c_str(), nullptr);
  return std::isinf(number) ? std::nan("") : number;
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || a == b;
}

}  // namespace
}  // namespace polyglot::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polyglot::core;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> pointers;
  while (rest.empty() || rest.front() == '/' || rest.front() == '\n') {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return 0;
    pointers.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  const auto numbers = JsonNumbers::parse(pointers);
  if (!numbers.ok()) {
    require(numbers.status().code() == Code::invalid_parameter, "a refusal says so");
    return 0;
  }
  // What is read beyond its end is found out there.
  const std::vector<char> exact(rest.begin(), rest.end());
  const std::string_view json(exact.data(), exact.size());
  std::vector<double> found(numbers->size());
  numbers->read(json, found.data());
  for (const double number : found) require(!std::isinf(number), "a number is finite");
  if (!check_json(json).ok()) return 0;
  for (std::size_t i = 0; i < pointers.size(); ++i) {
    require(same(found[i], expected(json, pointers[i])), "the number is the one that the pointer leads to");
  }
  return 0;
}
