// Presence: who is in which channel, on all workers that a bus joins. Each worker holds a replica of the whole.
//
// What a worker's own members do is applied at once, and told to the others by a message that the caller announces.
// Only a worker itself changes its members, and the bus keeps the order of its messages, so that all replicas become
// equal. REQUIRES: messages are announced in the order in which they were handed out.
//
// A worker's messages are numbered, so whoever missed one knows. It then asks for the list of that worker's members,
// which comes in parts: whoever has read each part, and missed nothing in between, drops the members of that worker
// that the list did not name; half a list drops nothing. Until the list has come, a member that went meanwhile is still
// shown.
//
// There are two buses:
//
// - The shared log (core::Gateway::announce), for the workers of one machine. It loses messages only to a feed that was
//   overrun, and says so: announce hello() then, as at the start. It asks all for their lists and gives one's own,
//   since what was lost may have been such a question. A worker that was killed says nothing: every few seconds drop
//   those of peers() that core::Segment::lives calls dead. (A word of the dead that is read after that counts until the
//   next look.)
// - One that may lose anything and says nothing of it, for the workers of several machines. There each announces beat()
//   once a second. By its number the others see what they missed, whatever it was and whoever lost it, and ask; so
//   nothing else needs to be done after an outage. A worker that was not heard for kPresenceLease loses its members.
//   That time is counted in seconds in which one heard one's own beat: while the bus is down nobody is heard, oneself
//   neither, and that means nothing.
//
// Messages are read strictly, as everything that comes from outside: one that is not whole, or not of this form, counts
// for nothing.
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
#include "server/presence_message.hpp"

namespace polyglot::server {

// How long a worker may be silent, in seconds.
inline constexpr unsigned kPresenceLease = 10;

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
    std::string question;         // to announce; empty when there is nothing to ask
    bool retell = false;          // announce retell(), once for all that were read together
  };

  // `incarnation`: core::Segment::incarnation(), by which the others know this worker.
  explicit Presence(std::uint64_t incarnation) : worker_(incarnation) {}

  // A member comes to this worker, or changes its meta. `ref` is unique among all members, also those of other
  // workers; metas of a key are shown in its order. `meta` is a JSON object, or empty; a phx_ref in it gives way.
  // invalid_parameter when key or ref is empty or not UTF-8, meta no JSON object, or all of it over kMaxMember.
  // REQUIRES: app and channel passed their checks.
  core::Result<Said> join(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref,
                          std::string_view meta);
  // It goes; says nothing when it is not here.
  Said leave(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref);
  // What to announce at the start, and after an overrun.
  std::vector<std::string> hello();
  // What to announce when an Outcome says so: this worker's members.
  std::vector<std::string> retell();
  // What to announce once a second on a bus that may lose messages.
  std::string beat() const;

  // A message from the bus, one's own ones too, which change nothing.
  Outcome apply(std::string_view message);
  // Once a second on a bus that may lose messages: the members of workers whose lease is over go.
  std::vector<Change> drop_silent();
  // All other workers that were heard.
  std::vector<std::uint64_t> peers() const;
  // That worker is dead: its members go. One's own are never dropped.
  std::vector<Change> drop_worker(std::uint64_t worker);

  // How many keys are in the channel.
  std::size_t members(std::string_view app, std::string_view channel) const;
  // {"alice":{"metas":[{"phx_ref":"…"}]}}, the payload of presence_state
  void append_state(std::string& out, std::string_view app, std::string_view channel) const;
  // {"joins":{…},"leaves":{…}}, the payload of presence_diff
  static void append_diff(std::string& out, const Change& change);

 private:
  using Kind = PresenceMessage::Kind;
  struct Meta {
    std::string json;
    std::uint64_t list;  // the newest list of its worker that named it, or that was told before it came
  };
  // By ref and worker.
  using Metas = std::map<std::pair<std::string, std::uint64_t>, Meta>;
  using Channel = std::map<std::string, Metas, std::less<>>;  // by key
  // What was heard of a worker.
  struct Told {
    std::uint64_t number = 0;  // the newest
    std::uint64_t list = 0;    // everything since the first part of this list; 0: something is missing
    std::size_t metas = 0;     // that are here
    unsigned silent = 0;       // seconds, as the lease counts them
  };
  using Changes = std::map<std::string, Change, std::less<>>;  // by the channel's place

  static Change& change_of(Changes& changes, const std::string& place);
  // A message of this worker, without entries.
  PresenceMessage head(Kind kind) const;
  // The next one, with one entry.
  Said said(Kind kind, const PresenceEntry& entry, Changes&& changes);
  void add(std::uint64_t worker, std::uint64_t list, const PresenceEntry& entry, Changes& changes);
  void remove(std::uint64_t worker, const PresenceEntry& entry, Changes& changes);
  // Drops the worker's metas but those that its list `but` named; 0: all of them.
  void drop(std::uint64_t worker, std::uint64_t but, Changes& changes);
  void read(const PresenceMessage& message, Told& told, Changes& changes);

  std::uint64_t worker_;                                  // this one
  std::uint64_t number_ = 0;                              // of its newest message that counts
  std::uint64_t list_ = 0;                                // of the first part of its newest list
  bool heard_myself_ = false;                             // since drop_silent()
  std::map<std::string, Channel, std::less<>> channels_;  // by place, "app/channel": an app's name has no slash
  std::map<std::uint64_t, Told> told_;                    // by worker, this one not among them
};

}  // namespace polyglot::server
