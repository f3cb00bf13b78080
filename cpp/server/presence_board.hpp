// PresenceBoard: the members of channels: this worker's replica, kept equal over the bus, and what its sockets are told
// of it.
//
// The bus is the shared log, or goes through Python to the workers of other machines too; presence.hpp has what that
// means. Whoever asks a worker for its list gets it at once, and then not before the next look, so that many who ask
// cost one list a second.
//
// Thread safety: the server's thread alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/gateway.hpp"
#include "server/handoff.hpp"
#include "server/hub.hpp"
#include "server/presence.hpp"

namespace polyglot::server {

class PresenceBoard {
 public:
  // With `python` the bus goes through it, else it is the log.
  PresenceBoard(core::Gateway& gateway, Hub& hub, Handoff* python);

  // A reference that no other member has.
  std::string new_ref();
  // Errors as Presence::join.
  core::Status join(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref,
                    std::string_view meta);
  void leave(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref);
  // As Presence::append_state.
  void append_state(std::string& out, std::string_view app, std::string_view channel) const {
    presence_.append_state(out, app, channel);
  }
  // {"app_id","channel","count","members"}, the answer of REST. REQUIRES: the names passed their checks.
  std::string members_json(std::string_view app, std::string_view channel) const;
  // What came over the bus through Python.
  void hear(const std::vector<std::string>& messages);
  // To be called once a second or more often, with the time of clock_ms(): the members of workers that died go.
  void look(std::int64_t now);

 private:
  void on_messages(const std::vector<core::FeedMessage>& messages, bool overrun);
  void hear(std::string_view message);
  void retell_if_asked();
  void announce(const std::string& message);
  void announce(const std::vector<std::string>& messages);
  void tell(const Presence::Change& change);
  void tell(const std::vector<Presence::Change>& changes);

  core::Gateway& gateway_;
  Hub& hub_;
  Handoff* python_;
  Presence presence_;
  std::string ref_head_;
  std::uint64_t refs_ = 0;
  std::int64_t looked_at_ = 0;
  bool asked_ = false;   // for the list, which was not told since
  bool retold_ = false;  // since the last look
};

}  // namespace polyglot::server
