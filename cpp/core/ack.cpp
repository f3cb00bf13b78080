#include "core/ack.hpp"

#include <string_view>

#include "core/envelope.hpp"
#include "core/epoch.hpp"

namespace polyglot::core {

void append_ack_members(std::string& out, const Ack& ack) {
  constexpr std::string_view kId = R"("id":")";
  constexpr std::string_view kTime = R"(","timestamp":")";
  constexpr std::string_view kSpooled = R"(","spooled":true)";
  constexpr std::string_view kOffset = R"(","offset":)";
  constexpr std::string_view kEpoch = R"(,"epoch":")";
  char text[kId.size() + kEventIdLength + kTime.size() + kTimestampLength + kOffset.size() + kMaxOffsetLength +
            kEpoch.size() + kEpochLength + 1];
  char* at = text;
  const auto put = [&at](std::string_view part) {
    part.copy(at, part.size());
    at += part.size();
  };
  put(kId);
  write_event_id(ack.id, at);
  at += kEventIdLength;
  put(kTime);
  write_timestamp(ack.time, at);
  at += kTimestampLength;
  if (ack.spooled) {
    put(kSpooled);
  } else {
    put(kOffset);
    at += write_offset(ack.offset, at) - 1;  // it is written as its digits and a closing brace
    put(kEpoch);
    write_epoch(ack.epoch, at);
    at += kEpochLength;
    *at++ = '"';
  }
  out.append(text, at);
}

void append_ack_json(std::string& out, const Ack& ack) {
  out.push_back('{');
  append_ack_members(out, ack);
  out.push_back('}');
}

}  // namespace polyglot::core
