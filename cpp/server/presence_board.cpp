#include "server/presence_board.hpp"

#include "core/epoch.hpp"

namespace polyglot::server {

PresenceBoard::PresenceBoard(core::Gateway& gateway, Hub& hub)
    : gateway_(gateway),
      hub_(hub),
      presence_(gateway.segment().worker(), gateway.segment().incarnation()),
      ref_head_(core::epoch_text(gateway.segment().incarnation()) + '-') {
  hub_.on_messages = [this](const std::vector<core::FeedMessage>& messages, bool overrun) {
    on_messages(messages, overrun);
  };
  for (const std::string& message : presence_.hello()) announce(message);
}

std::string PresenceBoard::new_ref() {
  return ref_head_ + std::to_string(++refs_);
}

void PresenceBoard::announce(const std::string& message) {
  if (message.empty()) return;
  // What is refused here is a message that is too long, which presence does not make, or a closed history.
  static_cast<void>(gateway_.announce({}, {}, message));
}

core::Status PresenceBoard::join(std::string_view app, std::string_view channel, std::string_view key,
                                 std::string_view ref, std::string_view meta) {
  auto said = presence_.join(app, channel, key, ref, meta);
  if (!said.ok()) return said.status();
  announce(said->message);
  tell(said->change);
  return {};
}

void PresenceBoard::leave(std::string_view app, std::string_view channel, std::string_view key, std::string_view ref) {
  const Presence::Said said = presence_.leave(app, channel, key, ref);
  announce(said.message);
  tell(said.change);
}

void PresenceBoard::on_messages(const std::vector<core::FeedMessage>& messages, bool overrun) {
  bool retell = false;
  for (const core::FeedMessage& message : messages) {
    const Presence::Outcome outcome = presence_.apply(message.payload);
    for (const Presence::Change& change : outcome.changes) tell(change);
    retell |= outcome.retell;
  }
  if (overrun) {
    for (const std::string& message : presence_.hello()) announce(message);
  } else if (retell) {
    for (const std::string& message : presence_.retell()) announce(message);
  }
}

void PresenceBoard::tell(const Presence::Change& change) {
  if (change.joins.empty() && change.leaves.empty()) return;
  ChannelStream* stream = hub_.find(change.app, change.channel);
  if (stream == nullptr) return;
  std::string diff;
  Presence::append_diff(diff, change);
  stream->append_message("presence_diff", diff);
  hub_.tell(*stream);
}

std::string PresenceBoard::members_json(std::string_view app, std::string_view channel) const {
  std::string json = "{\"app_id\":\"";
  json.append(app).append("\",\"channel\":\"").append(channel);
  json.append("\",\"count\":").append(std::to_string(presence_.members(app, channel))).append(",\"members\":");
  presence_.append_state(json, app, channel);
  return json += '}';
}

void PresenceBoard::look() {
  for (const Presence::Peer& peer : presence_.peers()) {
    if (gateway_.segment().alive(peer.worker, peer.incarnation)) continue;
    for (const Presence::Change& change : presence_.drop_worker(peer.worker)) tell(change);
  }
}

}  // namespace polyglot::server
