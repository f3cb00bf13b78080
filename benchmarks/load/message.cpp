#include "message.hpp"

#include <charconv>

namespace polyglot::load {
namespace {

constexpr std::string_view kMark = "stamp ";
constexpr std::string_view kBlank = "stamp 0000000000@0000000000000000000";
constexpr std::size_t kSequence = kMark.size();
constexpr std::size_t kSent = kBlank.find('@') + 1;
constexpr std::string_view kBefore = R"({"type": "message", "data": {"text": ")";
constexpr std::string_view kAfter = R"(; it begins at noon, everyone"}})";
static_assert(kBefore.size() + kBlank.size() + kAfter.size() == 106);

void write_digits(char* first, char* last, std::uint64_t value) {
  for (; last != first; value /= 10) *--last = static_cast<char>('0' + value % 10);
}

std::uint64_t read_digits(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::string event() {
  return std::string(kBefore).append(kBlank).append(kAfter);
}

std::string batch(const Options& options) {
  std::string body = R"({"events":[)";
  for (std::size_t i = 0; i < options.batch; ++i) {
    if (i > 0) body += ',';
    body.append(R"({"channel":")").append(options.channel).append("\",").append(event().substr(1));
  }
  return body + "]}";
}

}  // namespace

PublishRequest publish_request(const Options& options) {
  const std::string body = options.batch > 1 ? batch(options) : event();
  std::string path = "/pub?id=" + options.channel;
  if (options.dialect == Dialect::gateway) {
    path = "/apps/" + options.app + (options.batch > 1 ? "" : "/channels/" + options.channel) + "/publish";
  }
  PublishRequest request{.bytes = "POST " + path + " HTTP/1.1\r\nHost: " + options.host, .stamps = {}};
  if (options.dialect == Dialect::gateway) request.bytes += "\r\nX-API-Key: " + options.key;
  request.bytes += "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  const std::size_t head = request.bytes.size();
  request.bytes += body;
  for (std::size_t at = head; (at = request.bytes.find(kBlank, at)) != std::string::npos; at += kBlank.size()) {
    request.stamps.push_back(at);
  }
  return request;
}

void write_stamp(char* place, Stamp stamp) {
  write_digits(place + kSequence, place + kSent - 1, stamp.sequence);
  write_digits(place + kSent, place + kBlank.size(), stamp.sent);
}

std::optional<Stamp> find_stamp(std::string_view payload, std::size_t& hint) {
  if (hint > payload.size() || !payload.substr(hint).starts_with(kMark)) {
    const std::size_t found = payload.find(kMark);
    if (found == std::string_view::npos) return std::nullopt;
    hint = found;
  }
  const std::string_view stamp = payload.substr(hint, kBlank.size());
  if (stamp.size() < kBlank.size()) return std::nullopt;
  return Stamp{.sequence = read_digits(stamp.substr(kSequence, kSent - 1 - kSequence)),
               .sent = read_digits(stamp.substr(kSent))};
}

std::string upgrade_request(const Options& options) {
  const std::string target = options.dialect == Dialect::nchan
                                 ? "/sub?id=" + options.channel
                                 : "/socket/websocket?vsn=2.0.0&app_id=" + options.app + "&token=" + options.key;
  return "GET " + target + " HTTP/1.1\r\nHost: " + options.host +
         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

std::string join_message(const Options& options) {
  return R"(["1","1",")" + options.channel + R"(","phx_join",{}])";
}

std::string heartbeat_message() {
  return R"([null,"2","phoenix","heartbeat",{}])";
}

std::string client_frame(std::uint8_t opcode, std::string_view payload) {
  std::string frame(1, static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    frame += static_cast<char>(0x80 | payload.size());
  } else {
    frame += static_cast<char>(0x80 | 126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size() & 0xff);
  }
  return frame.append(4, '\0').append(payload);
}

}  // namespace polyglot::load
