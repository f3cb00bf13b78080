#include "core/json_numbers.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/json.hpp"
#include "core/json_bytes.hpp"
#include "core/json_text.hpp"
#include "core/utf8.hpp"

namespace polyglot::core {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

Status refuse(const std::string& pointer, const std::string& reason) {
  return {Code::invalid_parameter, "The field \"" + pointer + "\" " + reason};
}

Status check_pointer(const std::string& pointer) {
  if (pointer.size() > kMaxPointerLength) {
    return {Code::invalid_parameter, "A field has " + std::to_string(pointer.size()) + " bytes; allowed are up to " +
                                         std::to_string(kMaxPointerLength) + "."};
  }
  if (!check_utf8(pointer).ok()) return {Code::invalid_parameter, "A field is not UTF-8."};
  if (!pointer.empty() && pointer.front() != '/') {
    return refuse(pointer, "is no JSON Pointer: it must be empty or begin with '/'.");
  }
  for (std::size_t at = pointer.find('~'); at != std::string::npos; at = pointer.find('~', at + 1)) {
    if (at + 1 == pointer.size() || (pointer[at + 1] != '0' && pointer[at + 1] != '1')) {
      return refuse(pointer, "is no JSON Pointer: '~' must be followed by '0' or '1'.");
    }
  }
  return {};
}

std::string unescaped(std::string_view step) {
  std::string name;
  for (std::size_t i = 0; i < step.size(); ++i) {
    name.push_back(step[i] != '~' ? step[i] : step[++i] == '0' ? '~' : '/');
  }
  return name;
}

std::optional<std::uint64_t> index_of(std::string_view name) {
  std::uint64_t index = 0;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool whole = error == std::errc() && stop == name.data() + name.size();
  return whole && (name.size() == 1 || name.front() != '0') ? std::optional(index) : std::nullopt;
}

// Of a number that is not 0 and beyond what a double holds: whether it is too large for one, not too small.
bool is_large(std::string_view number) {
  const std::size_t exponent_at = std::min(number.find_first_of("eE"), number.size());
  const std::string_view digits = number.substr(0, exponent_at);
  std::string_view power = number.substr(std::min(exponent_at + 1, number.size()));
  if (power.starts_with('+')) power.remove_prefix(1);
  std::int64_t exponent = 0;
  if (std::from_chars(power.data(), power.data() + power.size(), exponent).ec == std::errc::result_out_of_range) {
    return power.front() != '-';
  }
  const auto point = static_cast<std::int64_t>(std::min(digits.find('.'), digits.size()));
  const auto first = static_cast<std::int64_t>(digits.find_first_of("123456789"));
  return exponent > first - point;
}

double number_of(std::string_view text) {
  const std::size_t sign = text.starts_with('-') ? 1 : 0;
  if (text.size() == sign || !is_digit(text[sign])) return kNone;
  double number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (stop != text.data() + text.size()) return kNone;
  if (error == std::errc::result_out_of_range) return is_large(text) ? kNone : 0;
  return number;
}

}  // namespace

Result<JsonNumbers> JsonNumbers::parse(const std::vector<std::string>& pointers) {
  if (pointers.size() > kMaxPointers) {
    return Status(Code::invalid_parameter, "There are " + std::to_string(pointers.size()) +
                                               " fields; allowed are up to " + std::to_string(kMaxPointers) + ".");
  }
  JsonNumbers numbers;
  for (const std::string& pointer : pointers) {
    if (Status status = check_pointer(pointer); !status.ok()) return status;
    std::size_t at = 0;
    for (std::size_t begin = 0; begin < pointer.size();) {
      const std::size_t end = std::min(pointer.find('/', begin + 1), pointer.size());
      at = numbers.child(at, unescaped(std::string_view(pointer).substr(begin + 1, end - begin - 1)));
      begin = end;
    }
    if (numbers.nodes_[at].pointer) return refuse(pointer, "is given twice.");
    numbers.nodes_[at].pointer = numbers.size_++;
  }
  return numbers;
}

std::size_t JsonNumbers::child(std::size_t parent, const std::string& name) {
  for (const std::size_t known : nodes_[parent].children) {
    if (nodes_[known].name == name) return known;
  }
  nodes_.push_back({name, index_of(name), {}, {}});
  nodes_[parent].children.push_back(nodes_.size() - 1);
  return nodes_.size() - 1;
}

// Goes over JSON that was checked once, and stays within the text also if it was not. Functions get the place where
// something begins, and return the place behind it, or nullptr when there is none.
class JsonNumbers::Reader {
 public:
  Reader(const std::vector<Node>& nodes, std::string_view json, double* out)
      : nodes_(nodes), end_(json.data() + json.size()), out_(out) {}

  const char* value(const char* at, const Node& node) {
    at = space(at);
    if (at != end_ && !node.children.empty()) {
      if (*at == '{') return object(at + 1, node);
      if (*at == '[') return array(at + 1, node);
    }
    const char* const past = skip(at);
    if (past != nullptr && node.pointer) {
      out_[*node.pointer] = number_of({at, static_cast<std::size_t>(past - at)});
    }
    return past;
  }

 private:
  const char* space(const char* at) const {
    while (at != end_ && is_space(*at)) ++at;
    return at;
  }
  bool has(const char* at, char c) const { return at != end_ && *at == c; }

  // Behind the '{'.
  const char* object(const char* at, const Node& node) {
    at = space(at);
    if (has(at, '}')) return at + 1;
    for (;;) {
      if (!has(at, '"')) return nullptr;
      const char* const name = at;
      at = string(at + 1);
      if (at == nullptr) return nullptr;
      const Node* member = named(node, {name, static_cast<std::size_t>(at - name)});
      at = space(at);
      if (!has(at, ':')) return nullptr;
      if (member != nullptr) {
        forget(*member);
        at = value(at + 1, *member);
      } else {
        at = skip(space(at + 1));
      }
      if (at == nullptr) return nullptr;
      at = space(at);
      if (has(at, '}')) return at + 1;
      if (!has(at, ',')) return nullptr;
      at = space(at + 1);
    }
  }

  // Behind the '['.
  const char* array(const char* at, const Node& node) {
    at = space(at);
    if (has(at, ']')) return at + 1;
    for (std::uint64_t index = 0;; ++index) {
      const Node* element = nullptr;
      for (const std::size_t child : node.children) {
        if (nodes_[child].index == index) element = &nodes_[child];
      }
      at = element != nullptr ? value(at, *element) : skip(space(at));
      if (at == nullptr) return nullptr;
      at = space(at);
      if (has(at, ']')) return at + 1;
      if (!has(at, ',')) return nullptr;
      ++at;
    }
  }

  // `quoted` may hold escapes.
  const Node* named(const Node& node, std::string_view quoted) const {
    std::string_view name = quoted.substr(1, quoted.size() - 2);
    std::string plain;
    if (name.find('\\') != std::string_view::npos) {
      JsonCursor cursor(quoted);
      std::string_view checked;
      if (!cursor.string(checked) || checked.size() != quoted.size()) return nullptr;
      plain = unescape(quoted);
      name = plain;
    }
    for (const std::size_t child : node.children) {
      if (nodes_[child].name == name) return &nodes_[child];
    }
    return nullptr;
  }

  // A member of the same name came before.
  void forget(const Node& node) {
    if (node.pointer) out_[*node.pointer] = kNone;
    for (const std::size_t child : node.children) forget(nodes_[child]);
  }

  // Behind the opening quote.
  const char* string(const char* at) const {
    for (;;) {
      at = skip_plain(at, end_);
      if (at == end_) return nullptr;
      if (*at == '"') return at + 1;
      if (*at == '\\') ++at;
      if (at == end_) return nullptr;
      ++at;
    }
  }

  // Any value, at its first byte.
  const char* skip(const char* at) const {
    int depth = 0;
    do {
      if (at == end_) return nullptr;
      switch (*at) {
        case '"':
          at = string(at + 1);
          if (at == nullptr) return nullptr;
          break;
        case '{':
        case '[':
          ++depth;
          ++at;
          break;
        case '}':
        case ']':
          if (--depth < 0) return nullptr;
          ++at;
          break;
        case ',':
        case ':':
        case ' ':
        case '\n':
        case '\r':
        case '\t':
          if (depth == 0) return nullptr;
          ++at;
          break;
        default:
          while (at != end_ && !ends_scalar(*at)) ++at;
      }
    } while (depth > 0);
    return at;
  }

  static bool ends_scalar(char c) { return c == ',' || c == '}' || c == ']' || c == ':' || c == '"' || is_space(c); }

  const std::vector<Node>& nodes_;
  const char* end_;
  double* out_;
};

void JsonNumbers::read(std::string_view json, double* out) const {
  std::fill_n(out, size_, kNone);
  if (size_ != 0) Reader(nodes_, json, out).value(json.data(), nodes_.front());
}

}  // namespace polyglot::core
