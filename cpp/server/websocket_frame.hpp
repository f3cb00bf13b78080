// The frames of WebSocket (RFC 6455), of a server without extensions: bytes to messages and messages to bytes. No I/O.
//
// Errors: what a client does wrong is a close code and a reason for the close frame that answers it; nothing throws but
// std::bad_alloc.
//
// Thread safety: WebSocketReader is a value for one thread; the functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace polyglot::server {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// A whole text (which is UTF-8) or binary message, its fragments joined, or one control frame. The payload lasts until
// the next call of WebSocketReader::next, and is of the input or of the reader.
struct WebSocketMessage {
  Opcode opcode = Opcode::continuation;
  std::string_view payload;
};

// Reads what a client sends after the handshake.
//
// A message that came in one frame and lies whole in the input is not copied. Anything less is collected in memory of
// the reader's own, which grows with the bytes that came, not with what a header claims, never holds more than
// `max_message_bytes` of payload and a constant (twice that while it moves to a larger place), and is given back once
// the message was handed out. An idle reader has none.
class WebSocketReader {
 public:
  // `max_message_bytes` bounds the payload of a whole text or binary message.
  explicit WebSocketReader(std::size_t max_message_bytes);
  WebSocketReader(const WebSocketReader&) = delete;
  WebSocketReader& operator=(const WebSocketReader&) = delete;
  ~WebSocketReader();

  // more: all of the input was taken, come again with more.
  // message: `message` is set; call again, also when no input is left, so that its memory is given back.
  // error: the client broke a rule; what else it sent means nothing, and every later call gives error again.
  enum class Next : std::uint8_t { more, message, error };

  // Takes one message from the front of `input`, which then begins behind what was taken. Unmasks in place.
  Next next(std::span<char>& input, WebSocketMessage& message);

  // The close code to answer with: 1002 protocol error, 1007 text that is not UTF-8, 1009 message too big; 0 as long as
  // there is no error.
  std::uint16_t error_code() const { return error_code_; }
  // Why, in one sentence that fits into a close frame.
  std::string_view error_reason() const { return error_reason_; }

  // Has nothing begun that was not handed out whole?
  bool idle() const;

 private:
  struct Frame;
  struct Partial;

  bool begin_frame(std::span<char>& input, Frame& frame);
  std::size_t parse_header(std::span<const char> bytes, Frame& frame);
  std::string_view collect(std::string_view piece, const Frame& frame);
  Next hand_out(Opcode opcode, std::string_view payload, WebSocketMessage& message);
  Next fail(std::uint16_t code, std::string_view reason);
  Partial& partial();

  std::size_t max_message_bytes_;
  std::unique_ptr<Partial> partial_;
  std::string_view error_reason_;
  std::uint16_t error_code_ = 0;
};

// The payload of a close frame: its code, 1005 ("no code") when it is empty, and the reason, a slice of the payload.
// False when it is malformed: a single byte, a code that must not be sent, or a reason that is not UTF-8.
bool parse_close(std::string_view payload, std::uint16_t& code, std::string_view& reason);

inline constexpr std::size_t kMaxFrameHeader = 10;

// Writes the header of a server's frame, whole and unmasked, with `payload` bytes to follow; returns its own length: 2,
// 4 or 10 bytes. `compressed` sets RSV1. REQUIRES: room for kMaxFrameHeader bytes; at most 125 bytes of payload in a
// control frame.
std::size_t write_frame_header(char* out, Opcode opcode, std::size_t payload, bool compressed = false);

// Appends one frame. REQUIRES: as write_frame_header.
void append_frame(std::string& out, Opcode opcode, std::string_view payload);

// Appends a close frame. The reason is cut to the 123 bytes that have room, not within a character; with code 1005 the
// frame is empty. REQUIRES: the reason is UTF-8.
void append_close(std::string& out, std::uint16_t code, std::string_view reason);

// Is this a Sec-WebSocket-Key: 16 bytes in base64?
bool valid_client_key(std::string_view client_key);

// The Sec-WebSocket-Accept that answers a key.
std::string accept_key(std::string_view client_key);

}  // namespace polyglot::server
