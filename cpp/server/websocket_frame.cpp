#include "server/websocket_frame.hpp"

#include <algorithm>
#include <array>
#include <boost/beast/core/detail/base64.hpp>
#include <boost/beast/core/detail/sha1.hpp>
#include <cstring>
#include <optional>
#include <vector>

#include "core/utf8.hpp"

namespace polyglot::server {
namespace {

constexpr std::size_t kMaxControlPayload = 125;
constexpr std::size_t kMaxClientHeader = kMaxFrameHeader + 4;  // with the mask
constexpr unsigned kFin = 0x80;
constexpr unsigned kRsv1 = 0x40;
constexpr unsigned kMasked = 0x80;

constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kNoCode = 1005;
constexpr std::uint16_t kNotUtf8 = 1007;
constexpr std::uint16_t kTooBig = 1009;

using Mask = std::array<char, 4>;

bool is_control(Opcode opcode) {
  return static_cast<unsigned>(opcode) >= 8;
}

unsigned byte(std::string_view bytes, std::size_t i) {
  return static_cast<unsigned char>(bytes[i]);
}

// `size` bytes, the most significant first.
std::uint64_t read_number(std::string_view bytes, std::size_t begin, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = begin; i < begin + size; ++i) number = number << 8 | byte(bytes, i);
  return number;
}

void write_number(char* out, std::uint64_t number, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(number >> (8 * (size - 1 - i)));
}

// Unmasks what stands `at` bytes into a payload.
void unmask(std::span<char> bytes, const Mask& mask, std::size_t at) {
  std::array<char, 8> pattern;
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = mask[(at + i) % mask.size()];
  std::uint64_t eight_of_mask;
  std::memcpy(&eight_of_mask, pattern.data(), 8);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, bytes.data() + i, 8);
    eight ^= eight_of_mask;
    std::memcpy(bytes.data() + i, &eight, 8);
  }
  for (; i < bytes.size(); ++i) bytes[i] = static_cast<char>(bytes[i] ^ pattern[i % 8]);
}

// The codes of RFC 6455 §7.4 that a frame may carry, with those registered since.
bool may_be_sent(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

}  // namespace

struct WebSocketReader::Frame {
  Opcode opcode = Opcode::continuation;
  bool fin = true;
  Mask mask{};
  std::size_t size = 0;   // of the payload
  std::size_t taken = 0;  // how much of it came
};

// What came of a message before the rest.
struct WebSocketReader::Partial {
  std::array<char, kMaxClientHeader> header;
  std::size_t header_size = 0;  // of a header that has not come whole
  std::optional<Frame> frame;   // whose header came whole, but not its payload
  std::array<char, kMaxControlPayload> control;
  Opcode opcode = Opcode::continuation;  // of the message that has begun; continuation: none has
  std::vector<char> message;
};

WebSocketReader::WebSocketReader(std::size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}
WebSocketReader::~WebSocketReader() = default;

bool WebSocketReader::idle() const {
  return !partial_ || (partial_->header_size == 0 && !partial_->frame && partial_->opcode == Opcode::continuation);
}

WebSocketReader::Partial& WebSocketReader::partial() {
  if (!partial_) partial_ = std::make_unique<Partial>();
  return *partial_;
}

WebSocketReader::Next WebSocketReader::fail(std::uint16_t code, std::string_view reason) {
  error_code_ = code;
  error_reason_ = reason;
  partial_.reset();
  return Next::error;
}

WebSocketReader::Next WebSocketReader::next(std::span<char>& input, WebSocketMessage& message) {
  if (error_code_ != 0) return Next::error;
  if (idle()) partial_.reset();  // held what was handed out last
  Frame frame;
  while (begin_frame(input, frame)) {
    const std::span<char> bytes = input.first(std::min(frame.size - frame.taken, input.size()));
    input = input.subspan(bytes.size());
    unmask(bytes, frame.mask, frame.taken);
    std::string_view payload(bytes.data(), bytes.size());
    const bool whole = bytes.size() == frame.size && frame.fin && frame.opcode != Opcode::continuation;
    if (!whole) payload = collect(payload, frame);
    frame.taken += bytes.size();
    if (frame.taken < frame.size) {
      partial().frame = frame;
      return Next::more;
    }
    if (is_control(frame.opcode)) return hand_out(frame.opcode, payload, message);
    if (frame.fin) {
      const Opcode opcode = whole ? frame.opcode : partial_->opcode;
      if (partial_) partial_->opcode = Opcode::continuation;
      return hand_out(opcode, payload, message);
    }
  }
  return error_code_ == 0 ? Next::more : Next::error;
}

// The frame that has come in part, or the one whose header stands next in the input. False: its header has not come
// whole, and what came is kept; or it breaks a rule.
bool WebSocketReader::begin_frame(std::span<char>& input, Frame& frame) {
  if (partial_ && partial_->frame) {
    frame = *partial_->frame;
    partial_->frame.reset();
    return true;
  }
  const std::size_t before = partial_ ? partial_->header_size : 0;
  std::span<const char> bytes = input;
  if (before != 0) {
    const std::size_t count = std::min(kMaxClientHeader - before, input.size());
    std::copy_n(input.begin(), count, partial_->header.begin() + static_cast<std::ptrdiff_t>(before));
    bytes = std::span(partial_->header).first(before + count);
  }
  const std::size_t header = parse_header(bytes, frame);
  if (error_code_ != 0) return false;
  if (header != 0) {
    input = input.subspan(header - before);
    if (partial_) partial_->header_size = 0;
    return true;
  }
  if (!input.empty()) {
    if (before == 0) std::copy(input.begin(), input.end(), partial().header.begin());
    partial_->header_size = bytes.size();
    input = {};
  }
  return false;
}

// The length of the header at the front of `bytes`; 0 when it has not come whole, or breaks a rule.
std::size_t WebSocketReader::parse_header(std::span<const char> bytes, Frame& frame) {
  const std::string_view text(bytes.data(), bytes.size());
  const auto refuse = [this](std::uint16_t code, std::string_view reason) -> std::size_t {
    fail(code, reason);
    return 0;
  };
  if (text.size() < 2) return 0;
  const unsigned first = byte(text, 0);
  const unsigned short_size = byte(text, 1) & 0x7F;
  frame = Frame{.opcode = static_cast<Opcode>(first & 0x0F), .fin = (first & kFin) != 0};
  const bool continues = frame.opcode == Opcode::continuation;
  const bool begun = partial_ && partial_->opcode != Opcode::continuation;
  if ((first & 0x70) != 0) return refuse(kProtocolError, "A reserved bit is set.");
  if ((first & 0x07) > 2) return refuse(kProtocolError, "The opcode is reserved.");
  if ((byte(text, 1) & kMasked) == 0) return refuse(kProtocolError, "A client's frame must be masked.");
  if (is_control(frame.opcode)) {
    if (!frame.fin) return refuse(kProtocolError, "A control frame must not be fragmented.");
    if (short_size > kMaxControlPayload) return refuse(kProtocolError, "A control frame is longer than 125 bytes.");
  } else if (continues && !begun) {
    return refuse(kProtocolError, "A continuation has no message to continue.");
  } else if (!continues && begun) {
    return refuse(kProtocolError, "A message begins before the one before it has ended.");
  }

  const std::size_t extended = short_size == 126 ? 2 : short_size == 127 ? 8 : 0;
  if (text.size() < 2 + extended) return 0;
  const std::uint64_t size = extended == 0 ? short_size : read_number(text, 2, extended);
  if (size >> 63 != 0) return refuse(kProtocolError, "The highest bit of a length is set.");
  if ((extended == 2 && size < 126) || (extended == 8 && size <= 0xFFFF)) {
    return refuse(kProtocolError, "A length is not written in its shortest form.");
  }
  const std::size_t held = begun ? partial_->message.size() : 0;
  if (!is_control(frame.opcode) && size > max_message_bytes_ - held) {
    return refuse(kTooBig, "The message is larger than is allowed here.");
  }
  const std::size_t header = 2 + extended + frame.mask.size();
  if (text.size() < header) return 0;
  std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(2 + extended), frame.mask.size(), frame.mask.begin());
  frame.size = static_cast<std::size_t>(size);
  return header;
}

// Keeps a piece of the frame's payload; returns what is held of the message, or of the control frame.
std::string_view WebSocketReader::collect(std::string_view piece, const Frame& frame) {
  Partial& held = partial();
  if (is_control(frame.opcode)) {
    std::copy(piece.begin(), piece.end(), held.control.begin() + static_cast<std::ptrdiff_t>(frame.taken));
    return {held.control.data(), frame.taken + piece.size()};
  }
  if (frame.opcode != Opcode::continuation) held.opcode = frame.opcode;
  // Doubles as vectors do, but not beyond what a message may have.
  const std::size_t needed = held.message.size() + piece.size();
  if (needed > held.message.capacity()) {
    held.message.reserve(std::min(max_message_bytes_, std::max(needed, 2 * held.message.capacity())));
  }
  held.message.insert(held.message.end(), piece.begin(), piece.end());
  return {held.message.data(), held.message.size()};
}

WebSocketReader::Next WebSocketReader::hand_out(Opcode opcode, std::string_view payload, WebSocketMessage& message) {
  if (opcode == Opcode::text && !core::check_utf8(payload).ok()) return fail(kNotUtf8, "The text is not UTF-8.");
  std::uint16_t code = kNoCode;
  std::string_view reason;
  if (opcode == Opcode::close && !parse_close(payload, code, reason)) {
    return may_be_sent(code) ? fail(kNotUtf8, "The reason of the close frame is not UTF-8.")
                             : fail(kProtocolError, "The close frame has no code that may be sent.");
  }
  message = {opcode, payload};
  return Next::message;
}

bool parse_close(std::string_view payload, std::uint16_t& code, std::string_view& reason) {
  code = kNoCode;
  reason = {};
  if (payload.size() < 2) return payload.empty();
  code = static_cast<std::uint16_t>(read_number(payload, 0, 2));
  reason = payload.substr(2);
  return may_be_sent(code) && core::check_utf8(reason).ok();
}

std::size_t write_frame_header(char* out, Opcode opcode, std::size_t payload, bool compressed) {
  out[0] = static_cast<char>(kFin | (compressed ? kRsv1 : 0) | static_cast<unsigned>(opcode));
  if (payload < 126) {
    out[1] = static_cast<char>(payload);
    return 2;
  }
  const std::size_t extended = payload <= 0xFFFF ? 2 : 8;
  out[1] = extended == 2 ? 126 : 127;
  write_number(out + 2, payload, extended);
  return 2 + extended;
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
  std::array<char, kMaxFrameHeader> header;
  out.append(header.data(), write_frame_header(header.data(), opcode, payload.size()));
  out.append(payload);
}

void append_close(std::string& out, std::uint16_t code, std::string_view reason) {
  if (code == kNoCode) return append_frame(out, Opcode::close, {});
  std::size_t size = std::min(reason.size(), kMaxControlPayload - 2);
  if (size < reason.size()) {
    while (size > 0 && (byte(reason, size) & 0xC0) == 0x80) --size;
  }
  std::array<char, kMaxControlPayload> payload;
  write_number(payload.data(), code, 2);
  std::copy_n(reason.begin(), size, payload.begin() + 2);
  append_frame(out, Opcode::close, {payload.data(), 2 + size});
}

bool valid_client_key(std::string_view client_key) {
  const auto in_alphabet = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  };
  // 22 digits are 132 bits; as most decoders do, we let the last four be anything.
  return client_key.size() == 24 && client_key.ends_with("==") &&
         std::all_of(client_key.begin(), client_key.end() - 2, in_alphabet);
}

std::string accept_key(std::string_view client_key) {
  namespace detail = boost::beast::detail;
  constexpr std::string_view kSalt = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 §1.3
  detail::sha1_context context;
  detail::init(context);
  detail::update(context, client_key.data(), client_key.size());
  detail::update(context, kSalt.data(), kSalt.size());
  std::array<unsigned char, detail::sha1_context::digest_size> digest;
  detail::finish(context, digest.data());
  std::string accept(detail::base64::encoded_size(digest.size()), '\0');
  accept.resize(detail::base64::encode(accept.data(), digest.data(), digest.size()));
  return accept;
}

}  // namespace polyglot::server
