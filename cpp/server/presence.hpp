// Presence: who is in which channel, on all workers of the host. Each worker holds a replica of the whole.
//
// What a worker's own members do is applied at once, and told to the others by a message that the caller announces
// (core::Gateway::announce). Only a worker itself changes its members, and the bus keeps the order of its messages, so
// that all replicas become equal. REQUIRES: messages are announced in the order in which they were handed out.
//
// Messages are lost only to a feed that was overrun. The rule is then the same as at the start: announce hello(). It
// asks all others for their members, and gives one's own, since what was lost may have been such a question. A worker
// gives its members as a numbered list in numbered parts: whoever has read each part drops the members of that worker
// that the list did not name; half a list drops nothing. Until the lists have come, a member that went meanwhile is
// still shown.
//
// A worker that was killed says nothing. So, every few seconds, drop each worker of peers() that
// core::Segment::alive(worker, incarnation) calls dead. A message of another incarnation of a worker drops the members
// of the one before, which held the slot earlier. (A word of the dead that is read after the drop counts until the next
// look.)
//
// Messages are read strictly, as everything in a file that others can write to: one that is not whole, or not of this
// form, counts for nothing.
//
// Thread safety: one thread at a time. No clock, no input or output.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.hpp"

namespace polyglot::server {

struct PresenceEntry;
struct PresenceMessage;

// Of a key, its ref and its meta as it is shown, together in bytes.
inline constexpr std::size_t kMaxMember = 16384;
// Of a message of a list, in bytes.
inline constexpr std::size_t kMaxListPart = 32768;

class Presence {
 public:
  // By key, one meta for each socket: {"phx_ref":"…", and what the member says of itself}.
  using Members = std::map<std::string, std::vector<std::string>, std::less<>>;
  struct Change {
    std::string app;
    std::string channel;
    Members joins;
    Members leaves;
  };
  struct Said {
    std::string message;  // to announce; empty when there is nothing to say
    Change change;
  };
  struct Outcome {
    std::vector<Change> changes;  // at most one for each channel
    bool retell = false;          // announce retell(), once for all that were read together
  };
  struct Peer {
    std::uint32_t worker;
    std::uint64_t incarnation;
  };

  // `incarnation`: core::Segment::incarnation().
  Presence(std::uint32_t worker, std::uint64_t incarnation) : worker_(worker), incarnation_(incarnation) {}

  // A member comes to this worker, or changes its meta. `ref` is unique among all members of the host, also those of
  // other workers; metas of a key are shown in its order. `meta` is a JSON object, or empty; a phx_ref in it gives way.
  // invalid_parameter when key or ref is empty or not UTF-8, meta no JSON object, or all of it over kMaxMember.
  // REQUIRES: app and channel passed their checks.
  core::Result<Said> join(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref,
                          std::string_view meta);
  // It goes; says nothing when it is not here.
  Said leave(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref);
  // What to announce at the start and after an overrun.
  std::vector<std::string> hello();
  // What to announce when an Outcome says so: this worker's members.
  std::vector<std::string> retell();

  // A message from the bus, one's own ones too, which change nothing.
  Outcome apply(std::string_view message);
  // Other workers whose members are here.
  std::vector<Peer> peers() const;
  // That worker is dead: its members go. One's own are never dropped.
  std::vector<Change> drop_worker(std::uint32_t worker);

  // How many keys are in the channel.
  std::size_t members(std::string_view app, std::string_view channel) const;
  // {"alice":{"metas":[{"phx_ref":"…"}]}}, the payload of presence_state
  void append_state(std::string& out, std::string_view app, std::string_view channel) const;
  // {"joins":{…},"leaves":{…}}, the payload of presence_diff
  static void append_diff(std::string& out, const Change& change);

 private:
  struct Meta {
    std::string json;
    std::uint64_t list;  // the newest list of its worker that named it
  };
  // By ref and worker.
  using Metas = std::map<std::pair<std::string, std::uint32_t>, Meta>;
  using Channel = std::map<std::string, Metas, std::less<>>;  // by key
  struct Told {
    std::uint64_t incarnation = 0;
    std::uint64_t list = 0;       // that is being read; 0: none, or a part is missing
    std::uint32_t next_part = 0;  // of it
    std::size_t metas = 0;        // that are here
  };
  using Changes = std::map<std::string, Change, std::less<>>;  // by the channel's place

  static Change& change_of(Changes& changes, const std::string& place);
  void add(std::uint32_t worker, std::uint64_t list, const PresenceEntry& entry, Changes& changes);
  void remove(std::uint32_t worker, const PresenceEntry& entry, Changes& changes);
  // Drops the worker's metas but those that its list `but` named; 0: all of them.
  void drop(std::uint32_t worker, std::uint64_t but, Changes& changes);
  void read_list(const PresenceMessage& message, Told& told, Changes& changes);

  std::uint32_t worker_;
  std::uint64_t incarnation_;
  std::uint64_t lists_ = 0;                               // told so far
  std::map<std::string, Channel, std::less<>> channels_;  // by place, "app/channel": an app's name has no slash
  std::map<std::uint32_t, Told> told_;                    // by worker, this one not among them
};

}  // namespace polyglot::server
