#include "subscriber.hpp"

#include <stdexcept>

#include "clock.hpp"

namespace polyglot::load {
namespace {

constexpr std::uint8_t kText = 1, kClose = 8, kPing = 9, kPong = 10;

struct Frame {
  std::uint8_t opcode = 0;
  std::string_view payload;
  std::size_t length = 0;  // header included; 0 when the frame is not whole yet
};

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

Frame first_frame(std::string_view input) {
  if (input.size() < 2) return {};
  const auto opcode = static_cast<std::uint8_t>(input[0] & 0x0f);
  std::uint64_t payload = static_cast<std::uint8_t>(input[1]) & 0x7f;
  const std::size_t extra = payload == 127 ? 8 : payload == 126 ? 2 : 0;
  if (input.size() < 2 + extra) return {};
  if (extra > 0) payload = big_endian(input.substr(2, extra));
  if (input.size() - 2 - extra < payload) return {};
  const auto size = static_cast<std::size_t>(payload);
  return {.opcode = opcode, .payload = input.substr(2 + extra, size), .length = 2 + extra + size};
}

// What a close frame says: its code and its reason.
std::string close_text(std::string_view payload) {
  if (payload.size() < 2) return {};
  return ", " + std::to_string(big_endian(payload.substr(0, 2))) + " " + std::string(payload.substr(2));
}

}  // namespace

Subscriber::Subscriber(const Options& options, Buffer& buffer, Tally& tally)
    : connection_(options.host, options.port), phoenix_(options.dialect == Dialect::gateway) {
  upgrade(options, buffer, tally);
  if (phoenix_) join(options, buffer, tally);
}

void Subscriber::upgrade(const Options& options, Buffer& buffer, Tally& tally) {
  connection_.send(upgrade_request(options));
  for (;;) {
    connection_.wait();
    const std::string_view input = connection_.read(buffer);
    const std::size_t end = input.find("\r\n\r\n");
    if (connection_.closed() || (end != std::string_view::npos && !input.starts_with("HTTP/1.1 101"))) {
      throw std::runtime_error("the server refused a WebSocket: " + std::string(input.substr(0, 200)));
    }
    if (end != std::string_view::npos) return take(input.substr(end + 4), now(), tally);
    if (!input.empty()) connection_.keep(input);
  }
}

void Subscriber::join(const Options& options, Buffer& buffer, Tally& tally) {
  connection_.send(client_frame(kText, join_message(options)));
  while (!joined_) {
    connection_.wait();
    receive(buffer, tally);
    if (closed()) throw std::runtime_error("the server ended a connection at the join");
  }
}

void Subscriber::receive(Buffer& buffer, Tally& tally) {
  const std::string_view input = connection_.read(buffer);
  if (!input.empty()) {
    take(input, now(), tally);
  } else if (closed()) {
    ++tally.closed;
    if (tally.close_reason.empty()) tally.close_reason = "the connection ended";
  }
}

void Subscriber::take(std::string_view input, std::uint64_t read_at, Tally& tally) {
  for (Frame frame; (frame = first_frame(input)).length > 0; input.remove_prefix(frame.length)) {
    if (frame.opcode == kPing) {
      connection_.send(client_frame(kPong, frame.payload));
    } else if (frame.opcode == kClose) {
      if (tally.close_reason.empty()) tally.close_reason = "closed by the server" + close_text(frame.payload);
    } else if (frame.opcode == kText) {
      message(frame.payload, read_at, tally);
    }
  }
  if (!input.empty()) connection_.keep(input);
}

void Subscriber::message(std::string_view payload, std::uint64_t read_at, Tally& tally) {
  if (phoenix_ && !joined_) {
    if (payload.find(R"("phx_reply")") == std::string_view::npos) return;
    if (payload.find(R"("status":"ok")") == std::string_view::npos) {
      throw std::runtime_error("the server refused a join: " + std::string(payload.substr(0, 200)));
    }
    joined_ = true;
    return;
  }
  const std::optional<Stamp> stamp = find_stamp(payload, tally.stamp_hint);
  if (!stamp) return;
  ++tally.deliveries;
  tally.latency.add(read_at > stamp->sent ? read_at - stamp->sent : 0);
  if (stamp->sequence <= newest_) {
    ++tally.out_of_order;
    return;
  }
  tally.skipped += stamp->sequence - newest_ - 1;
  newest_ = stamp->sequence;
}

void Subscriber::heartbeat() {
  if (phoenix_ && !closed()) connection_.send(client_frame(kText, heartbeat_message()));
}

}  // namespace polyglot::load
