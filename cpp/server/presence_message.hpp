// What workers tell each other of presence, as bytes on the bus.
//
//   "PGP1" | kind u8 | worker u32 | incarnation u64 | list u64 | part u32 | parts u32 | entries
//   entry: app, channel, key, ref, meta, each as length u16 | bytes
//
// Numbers are in the byte order of the machine, which a message does not leave. part and parts are 0 but in a list. A
// join and a leave have one entry, a hello none, a list any number; a leave's entry has no meta.
//
// Thread safety: values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polyglot::server {

// One meta of one member of a channel. Its texts are slices of what it was made from.
struct PresenceEntry {
  std::string_view app;
  std::string_view channel;
  std::string_view key;
  std::string_view ref;
  std::string json = {};  // as presence_meta gives it; empty where it is about to leave

  // REQUIRES: no text is longer than 65535 bytes.
  void append_to(std::string& out) const;
};

struct PresenceMessage {
  enum class Kind : std::uint8_t { join = 1, leave = 2, hello = 3, list = 4 };

  Kind kind = Kind::hello;
  std::uint32_t worker = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t list = 0;  // of a join: the newest one that its worker told before
  std::uint32_t part = 0;
  std::uint32_t parts = 0;
  std::vector<PresenceEntry> entries = {};

  static constexpr std::size_t kHeadSize = 4 + 1 + 4 + 8 + 8 + 4 + 4;
  // All but the entries, kHeadSize bytes.
  std::string head() const;
  std::string bytes() const;
  // Nothing when it is not whole and right to the last byte. Texts are slices of `bytes`.
  static std::optional<PresenceMessage> parse(std::string_view bytes);
};

// The meta as it is shown: {"phx_ref":"<ref>"} and the members of `meta`, a JSON object or empty, but for a phx_ref
// that it has. Nothing when `meta` is something else. What was made here comes out as it went in. REQUIRES: ref is
// UTF-8.
std::optional<std::string> presence_meta(std::string_view ref, std::string_view meta);

// Whether it can be a key or a ref: UTF-8 and not empty.
bool is_presence_name(std::string_view text);

}  // namespace polyglot::server
