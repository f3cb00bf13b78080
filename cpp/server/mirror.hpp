// Mirror: has Python keep the history here equal to that of an engine elsewhere, for the channels that are subscribed
// to.
//
// A channel is followed from the first request for it until nobody waits for it and it has no stream in the hub. Python
// hears of both in order.
//
// Thread safety: the server's thread alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/handoff.hpp"
#include "server/hub.hpp"

namespace polyglot::server {

class Mirror {
 public:
  // `needed`: the engine is elsewhere.
  Mirror(Handoff& handoff, Hub& hub, bool needed);

  bool is_needed() const { return needed_; }
  // Calls `done` when the history here has all of the channel that the engine had by now, from after `since` on as far
  // as the engine has it, and gets what is new. Not ok: the engine does not answer, and nothing of the channel is here.
  // REQUIRES: is_needed().
  void follow(std::string_view app, std::string_view channel, std::optional<std::uint64_t> since,
              std::string_view epoch, std::function<void(const core::Status&)> done);

 private:
  void hold(const std::string& place);
  void let_go(const std::string& place, std::string_view app, std::string_view channel);

  Handoff& handoff_;
  bool needed_;
  std::unordered_map<std::string, std::size_t> holders_;  // by "app/channel"
};

}  // namespace polyglot::server
