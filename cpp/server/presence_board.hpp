// PresenceBoard: the members of channels, on all workers of the host: this worker's replica, kept equal over the bus,
// and what its sockets are told of it.
//
// Thread safety: the server's thread alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/gateway.hpp"
#include "server/hub.hpp"
#include "server/presence.hpp"

namespace polyglot::server {

class PresenceBoard {
 public:
  PresenceBoard(core::Gateway& gateway, Hub& hub);

  // A reference that no other member of the host has.
  std::string new_ref();
  // Errors as Presence::join, and Gateway::announce.
  core::Status join(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref,
                    std::string_view meta);
  void leave(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref);
  // As Presence::append_state.
  void append_state(std::string& out, std::string_view app, std::string_view channel) const {
    presence_.append_state(out, app, channel);
  }
  // {"app_id","channel","count","members"}, the answer of REST. REQUIRES: the names passed their checks.
  std::string members_json(std::string_view app, std::string_view channel) const;
  // Once a second: the members of workers that died go.
  void look();

 private:
  void on_messages(const std::vector<core::FeedMessage>& messages, bool overrun);
  void announce(const std::string& message);
  void tell(const Presence::Change& change);

  core::Gateway& gateway_;
  Hub& hub_;
  Presence presence_;
  std::string ref_head_;
  std::uint64_t refs_ = 0;
};

}  // namespace polyglot::server
