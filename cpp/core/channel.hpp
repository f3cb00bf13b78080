// Names of apps and channels, and patterns that match channels.
//
// App id:       1-64 of A-Z a-z 0-9 _ -
// Channel name: 1-200 of A-Z a-z 0-9 _ - = @ , . ; : ~ /      (percent-decoded by the server before it comes here)
// Pattern:      1-200 of the channel characters and `*`, which stands for any run of characters, the empty one too.
//
// None of these characters needs an escape inside a JSON string, so names are written into envelopes as they are.
//
// Thread safety: values and pure functions.
#pragma once

#include <string>
#include <string_view>

#include "core/status.hpp"

namespace polyglot::core {

inline constexpr std::size_t kMaxAppLength = 64;
inline constexpr std::size_t kMaxChannelLength = 200;

// Ok, or invalid_app / invalid_channel with a message that names the length or the offending character and its place
// (position() stays -1: it is about the body, not the name).
Status check_app(std::string_view app);
Status check_channel(std::string_view channel);

// One name for a channel among those of all apps: `app/channel`.
std::string place_of(std::string_view app, std::string_view channel);

class ChannelPattern {
 public:
  // invalid_parameter when the pattern is empty, too long or has another character.
  static Result<ChannelPattern> parse(std::string_view text);

  // Never goes back beyond the last `*`: at most the product of both lengths, and linear for most patterns.
  bool matches(std::string_view channel) const;
  const std::string& text() const { return text_; }

 private:
  explicit ChannelPattern(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace polyglot::core
