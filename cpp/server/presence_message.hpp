// What workers tell each other of presence, as bytes on the bus.
//
//   "PGP2" | kind u8 | worker u64 | number u64 | list u64 | whom u64 | entries
//   entry: app, channel, key, ref, meta, each as length u16 | bytes
//
// Numbers are little-endian, whatever the machine: a message may come from another one. `worker` is the
// core::Segment::incarnation() of who says it, which is random and so its own among the workers of all machines.
//
//   join, leave   one entry; of a leave, without a meta
//   list, end     a part of the list of all members of the worker, any number of entries; `end` is the last part
//   hello         asks the worker `whom`, or all where that is 0, for their lists
//   beat          says that the worker lives
//
// `number` counts what changes members: a join, a leave and a part of a list have one more than the one before from
// that worker, beginning with 1; a hello and a beat have the newest. `list` is the number of the first part of the list
// that this is a part of, or else of the newest list; 0 before the first one. `whom` is 0 but in a hello.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polyglot::server {

// Of a key, its ref and its meta as it is shown, together in bytes.
inline constexpr std::size_t kMaxMember = 16384;
// Of a message, in bytes.
inline constexpr std::size_t kMaxPresenceMessage = 32768;

// One meta of one member of a channel. Its texts are slices of what it was made from.
struct PresenceEntry {
  std::string_view app;
  std::string_view channel;
  std::string_view key;
  std::string_view ref;
  std::string json = {};  // as presence_meta gives it; empty where it is about to leave

  // Of what kMaxMember bounds.
  std::size_t size() const { return key.size() + ref.size() + json.size(); }
  // REQUIRES: no text is longer than 65535 bytes.
  void append_to(std::string& out) const;
};

struct PresenceMessage {
  enum class Kind : std::uint8_t { join = 1, leave = 2, list = 3, end = 4, hello = 5, beat = 6 };

  Kind kind = Kind::hello;
  std::uint64_t worker = 0;
  std::uint64_t number = 0;
  std::uint64_t list = 0;
  std::uint64_t whom = 0;
  std::vector<PresenceEntry> entries = {};

  static constexpr std::size_t kHeadSize = 4 + 1 + 8 + 8 + 8 + 8;
  // All but the entries, kHeadSize bytes.
  std::string head() const;
  std::string bytes() const;
  // Nothing when it is not whole and right to the last byte, or over a limit. Texts are slices of `bytes`.
  static std::optional<PresenceMessage> parse(std::string_view bytes);
};

// The meta as it is shown: {"phx_ref":"<ref>"} and the members of `meta`, a JSON object or empty, but for a phx_ref
// that it has. Nothing when `meta` is something else. What was made here comes out as it went in. REQUIRES: ref is
// UTF-8.
std::optional<std::string> presence_meta(std::string_view ref, std::string_view meta);

// Whether it can be a key or a ref: UTF-8 and not empty.
bool is_presence_name(std::string_view text);

}  // namespace polyglot::server
