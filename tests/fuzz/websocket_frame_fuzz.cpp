// Any bytes as what a client sends, in any pieces: the messages are those of the same bytes in one piece, they keep the
// rules, and the reader holds no more than it may. The first byte is the limit of a message in 16 bytes, the next four
// are the sizes of the pieces, taken in turn.
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/utf8.hpp"
#include "require.hpp"
#include "server/websocket_frame.hpp"

namespace {

// Bytes that this program holds by operator new.
std::size_t held_bytes = 0;

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) {
    std::abort();
  }
  held_bytes += malloc_usable_size(memory);
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return operator new(size);
}
void operator delete(void* memory) noexcept {
  held_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}

namespace polyglot::server {
namespace {

using core::require;
using Sizes = std::span<const std::uint8_t>;

constexpr std::size_t kHead = 5;
// What a reader may hold beside the payload of one message.
constexpr std::size_t kConstant = 512;

struct Meaning {
  std::vector<std::pair<Opcode, std::string>> messages;
  std::uint16_t error = 0;
  bool idle = true;

  bool operator==(const Meaning&) const = default;
};

void check_message(const WebSocketMessage& message, std::size_t limit) {
  const bool is_data = message.opcode == Opcode::text || message.opcode == Opcode::binary;
  require(message.payload.size() <= (is_data ? limit : 125), "a message has its length");
  require(message.opcode != Opcode::continuation, "a message is whole");
  require(message.opcode != Opcode::text || core::check_utf8(message.payload).ok(), "text is UTF-8");
  std::uint16_t code = 0;
  std::string_view reason;
  require(message.opcode != Opcode::close || parse_close(message.payload, code, reason), "a close frame has a meaning");
}

// Feeds pieces of these sizes, again and again; 0 is all that is left. Each piece has a place of its own, which is gone
// when the next one comes.
Meaning read(std::string_view stream, Sizes sizes, std::size_t limit) {
  WebSocketReader reader(limit);
  Meaning meaning;
  std::size_t reader_holds = 0;
  for (std::size_t i = 0; !stream.empty(); ++i) {
    const std::size_t wanted = sizes[i % sizes.size()];
    const std::size_t size = wanted == 0 ? stream.size() : std::min(wanted, stream.size());
    std::vector<char> bytes(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    stream.remove_prefix(size);
    std::span<char> input(bytes);
    WebSocketMessage message;
    WebSocketReader::Next next{};
    do {
      const std::size_t before = held_bytes;
      next = reader.next(input, message);
      reader_holds += held_bytes - before;
      require(reader_holds <= limit + kConstant, "the reader's memory is bounded");
      if (next == WebSocketReader::Next::message) {
        check_message(message, limit);
        meaning.messages.emplace_back(message.opcode, message.payload);
      }
    } while (next == WebSocketReader::Next::message);
    require(next == WebSocketReader::Next::error || input.empty(), "all was taken");
    require(!reader.idle() || reader_holds == 0, "an idle reader holds nothing");
  }
  meaning.error = reader.error_code();
  meaning.idle = reader.idle();
  require(reader.error_reason().empty() == (meaning.error == 0) && reader.error_reason().size() <= 123,
          "an error has a reason that fits into a close frame");
  require(meaning.error == 0 || meaning.error == 1002 || meaning.error == 1007 || meaning.error == 1009,
          "an error has its code");
  return meaning;
}

// As the frames of a server say it, with a mask of zeros.
std::string written(const Meaning& meaning) {
  std::string out;
  for (const auto& [opcode, payload] : meaning.messages) {
    std::array<char, kMaxFrameHeader> header;
    const std::size_t size = write_frame_header(header.data(), opcode, payload.size());
    header[1] = static_cast<char>(header[1] | 0x80);
    out.append(header.data(), size).append(4, '\0').append(payload);
  }
  return out;
}

}  // namespace
}  // namespace polyglot::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polyglot::server;
  if (size < kHead) {
    return 0;
  }
  // The first check of a text takes memory for good (simdjson chooses its instructions), which is not the reader's.
  static const bool chosen = polyglot::core::check_utf8("text").ok();
  require(chosen, "a text is UTF-8");
  constexpr std::array<std::uint8_t, 1> kWhole = {0};
  constexpr std::array<std::uint8_t, 1> kByteByByte = {1};
  const std::size_t limit = std::size_t{data[0]} * 16;
  const std::string_view stream(reinterpret_cast<const char*>(data) + kHead, size - kHead);

  const Meaning whole = read(stream, kWhole, limit);
  require(read(stream, kByteByByte, limit) == whole, "byte by byte it means the same");
  require(read(stream, Sizes(data + 1, kHead - 1), limit) == whole, "in pieces it means the same");
  const Meaning again = read(written(whole), kWhole, limit);
  require(again.messages == whole.messages && again.error == 0 && again.idle, "what was read can be written");
  return 0;
}
