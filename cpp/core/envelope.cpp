#include "core/envelope.hpp"

#include <array>
#include <charconv>

#include "core/event.hpp"
#include "core/json_text.hpp"

namespace polyglot::core {

void append_envelope(std::string& out, const EventMeta& meta, const SentEvent& event) {
  constexpr std::string_view kId = R"({"id":")";
  constexpr std::string_view kApp = R"(","app_id":")";
  constexpr std::string_view kChannel = R"(","channel":")";
  constexpr std::string_view kType = R"(","type":)";
  constexpr std::string_view kData = R"(,"data":)";
  constexpr std::string_view kUser = R"(,"meta":{"user_id":)";
  constexpr std::string_view kTime = R"(,"ts":")";
  constexpr std::string_view kSource = R"(","source_ip":)";
  constexpr std::string_view kOffset = R"(},"offset":)";
  constexpr std::size_t kFixed =
      kId.size() + kEventIdLength + kApp.size() + kChannel.size() + kType.size() + kData.size() + kUser.size();
  constexpr std::size_t kQuotedOrNull = 4;

  // The part whose length is known is written in place, the rest appended.
  const std::size_t start = out.size();
  const std::size_t known = kFixed + meta.app.size() + meta.channel.size() + event.type.size() + event.data.size();
  const std::size_t rest = kTime.size() + kTimestampLength + kSource.size() + kOffset.size() + 2 * kQuotedOrNull +
                           meta.user_id.size() + meta.source_ip.size();
  out.reserve(start + known + rest + kMaxOffsetLength);
  out.resize(start + known);
  char* at = out.data() + start;
  const auto put = [&at](std::string_view text) {
    text.copy(at, text.size());
    at += text.size();
  };
  put(kId);
  write_event_id(meta.id, at);
  at += kEventIdLength;
  put(kApp);
  put(meta.app);
  put(kChannel);
  put(meta.channel);
  put(kType);
  put(event.type);
  put(kData);
  put(event.data);
  put(kUser);

  const auto append_text = [&out](std::string_view text) {
    if (text.empty()) {
      out.append("null");
    } else {
      append_json_string(out, text);
    }
  };
  append_text(meta.user_id);
  std::array<char, kTime.size() + kTimestampLength + kSource.size()> time;
  kTime.copy(time.data(), kTime.size());
  write_timestamp(meta.time, time.data() + kTime.size());
  kSource.copy(time.data() + kTime.size() + kTimestampLength, kSource.size());
  out.append(time.data(), time.size());
  append_text(meta.source_ip);
  out.append(kOffset);
}

std::size_t write_offset(std::uint64_t offset, char* out) {
  char* const end = std::to_chars(out, out + kMaxOffsetLength - 1, offset).ptr;
  *end = '}';
  return static_cast<std::size_t>(end - out) + 1;
}

std::string_view envelope_from_data(std::string_view envelope, std::string_view app, std::string_view channel) {
  constexpr std::string_view kType = ",\"type\":\"";
  constexpr std::string_view kData = ",\"data\":";
  std::string_view rest = envelope.substr(kEnvelopeAppAt + app.size() + kEnvelopeBetween + channel.size() + 1);
  if (!rest.starts_with(kType)) return {};
  rest.remove_prefix(kType.size());
  std::size_t quote = rest.find_first_of("\"\\");
  while (quote != std::string_view::npos && rest[quote] == '\\') quote = rest.find_first_of("\"\\", quote + 2);
  if (quote == std::string_view::npos) return {};
  rest.remove_prefix(quote + 1);
  if (!rest.starts_with(kData)) return {};
  return rest.substr(kData.size());
}

bool is_envelope_of(std::string_view envelope, std::string_view app, std::string_view channel) {
  constexpr std::string_view kId = "{\"id\":\"";
  constexpr std::string_view kApp = "\",\"app_id\":\"";
  constexpr std::string_view kChannel = "\",\"channel\":\"";
  static_assert(kId.size() + kEventIdLength + kApp.size() == kEnvelopeAppAt && kChannel.size() == kEnvelopeBetween);
  const auto takes = [&envelope](std::string_view expected) {
    const bool there = envelope.starts_with(expected);
    if (there) envelope.remove_prefix(expected.size());
    return there;
  };
  if (!takes(kId) || envelope.size() < kEventIdLength) return false;
  envelope.remove_prefix(kEventIdLength);
  return takes(kApp) && takes(app) && takes(kChannel) && takes(channel) && takes("\"");
}

}  // namespace polyglot::core
