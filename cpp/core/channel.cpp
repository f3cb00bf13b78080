#include "core/channel.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace polyglot::core {
namespace {

// Where a character may stand.
enum Use : std::uint8_t { kInApp = 1, kInChannel = 2, kInPattern = 4 };

constexpr std::array<std::uint8_t, 256> kUses = [] {
  std::array<std::uint8_t, 256> uses{};
  const auto allow = [&uses](std::string_view characters, int use) {
    for (const char c : characters) {
      uses[static_cast<unsigned char>(c)] = static_cast<std::uint8_t>(use);
    }
  };
  allow("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", kInApp | kInChannel | kInPattern);
  allow("=@,.;:~/", kInChannel | kInPattern);
  allow("*", kInPattern);
  return uses;
}();

struct Kind {
  Use use;
  Code code;
  std::size_t max_length;
  const char* what;
  const char* allowed;
};
constexpr Kind kApp = {kInApp, Code::invalid_app, kMaxAppLength, "app id", "A-Z a-z 0-9 _ -"};
constexpr Kind kChannel = {kInChannel, Code::invalid_channel, kMaxChannelLength, "channel name",
                           "A-Z a-z 0-9 _ - = @ , . ; : ~ /"};
constexpr Kind kPattern = {kInPattern, Code::invalid_parameter, kMaxChannelLength, "channel pattern",
                           "A-Z a-z 0-9 _ - = @ , . ; : ~ / *"};

std::string shown(char c) {
  if (c >= ' ' && c <= '~') {
    return {'\'', c, '\''};
  }
  char text[16];
  std::snprintf(text, sizeof text, "byte 0x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return text;
}

Status check(const Kind& kind, std::string_view text) {
  const auto refuse = [&kind](const std::string& trouble) {
    return Status(kind.code, std::string("The ") + kind.what + " " + trouble);
  };
  if (text.empty()) {
    return refuse("is empty; it needs 1 to " + std::to_string(kind.max_length) + " characters.");
  }
  if (text.size() > kind.max_length) {
    return refuse("is " + std::to_string(text.size()) + " bytes long; it may have " + std::to_string(kind.max_length) +
                  ".");
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((kUses[static_cast<unsigned char>(text[i])] & kind.use) == 0) {
      return refuse("has " + shown(text[i]) + " at place " + std::to_string(i + 1) + "; allowed are " + kind.allowed +
                    ".");
    }
  }
  return {};
}

}  // namespace

std::string place_of(std::string_view app, std::string_view channel) {
  std::string place;
  place.reserve(app.size() + channel.size() + 1);
  return place.append(app).append("/").append(channel);
}

Status check_app(std::string_view app) {
  return check(kApp, app);
}

Status check_channel(std::string_view channel) {
  return check(kChannel, channel);
}

Result<ChannelPattern> ChannelPattern::parse(std::string_view text) {
  if (Status checked = check(kPattern, text); !checked.ok()) {
    return checked;
  }
  return ChannelPattern(std::string(text));
}

bool ChannelPattern::matches(std::string_view channel) const {
  const std::string_view pattern = text_;
  std::size_t p = 0;
  std::size_t c = 0;
  // The last `*` seen, and the end of the run it stands for so far. Once a later `*` is reached, what an earlier one
  // stands for need not be reconsidered: the shortest run leaves the later one the most choice.
  std::size_t star = std::string_view::npos;
  std::size_t run_end = 0;
  while (c < channel.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      run_end = c;
    } else if (p < pattern.size() && pattern[p] == channel[c]) {
      ++p;
      ++c;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      c = ++run_end;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace polyglot::core
