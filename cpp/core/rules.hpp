// Channel rules: how much history a channel keeps, how large its events may be and whether a processor sees them, who
// may read it unasked, and what its subscribers may do and get.
//
// Per app, an ordered list of (pattern, rule); the first pattern that matches decides, whole: nothing is merged from
// later ones. Without a match the default rule holds. An app without rules of its own uses those of app "*", if there
// are any.
//
// Thread safety: filled by one thread, then only read. References live as long as the Rules.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/access.hpp"
#include "core/channel.hpp"

namespace polyglot::core {

struct ChannelRule {
  std::uint64_t history_size = 1000;      // newest events kept; 0 keeps none to read back
  std::int64_t history_ttl_us = 0;        // events older than this are gone; 0: no limit
  std::uint64_t max_event_bytes = 65536;  // size of a publish body
  bool public_read = false;               // history and subscribe need no key
  bool client_publish = false;            // sockets may publish
  bool presence = false;                  // members are tracked
  bool conflate = false;                  // a reader that is too slow gets only the newest event
  bool processor = true;                  // the processor, if there is one, sees events before they are kept
  bool bypass_processor = false;          // while it does not answer, they are kept as they are
};

class Rules {
 public:
  explicit Rules(const ChannelRule& by_default = {}) : default_(by_default) {}

  void add(std::string_view app, ChannelPattern pattern, const ChannelRule& rule);
  const ChannelRule& find(std::string_view app, std::string_view channel) const;

 private:
  using List = std::vector<std::pair<ChannelPattern, ChannelRule>>;
  std::unordered_map<std::string, List, TextHash, std::equal_to<>> apps_;
  ChannelRule default_;
};

}  // namespace polyglot::core
