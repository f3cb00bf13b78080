#include "server/presence_board.hpp"

#include "core/epoch.hpp"

namespace polyglot::server {
namespace {

constexpr std::int64_t kLookTime = 900;  // milliseconds between two looks: somewhat less than a tick of the server

}  // namespace

PresenceBoard::PresenceBoard(core::Gateway& gateway, Hub& hub, Handoff* python)
    : gateway_(gateway),
      hub_(hub),
      python_(python),
      presence_(gateway.segment().incarnation()),
      ref_head_(core::epoch_text(gateway.segment().incarnation()) + '-') {
  if (python_ == nullptr) {
    hub_.on_messages = [this](const std::vector<core::FeedMessage>& messages, bool overrun) {
      on_messages(messages, overrun);
    };
  }
  announce(presence_.hello());
}

std::string PresenceBoard::new_ref() {
  return ref_head_ + std::to_string(++refs_);
}

void PresenceBoard::announce(const std::string& message) {
  if (message.empty()) return;
  if (python_ != nullptr) return python_->announce(message);
  // What is refused here is a message that is too long, which presence does not make, or a closed history.
  static_cast<void>(gateway_.announce({}, {}, message));
}

void PresenceBoard::announce(const std::vector<std::string>& messages) {
  for (const std::string& message : messages) announce(message);
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
  for (const core::FeedMessage& message : messages) hear(message.payload);
  if (overrun) {
    announce(presence_.hello());
    asked_ = false;  // it has the list
  }
  retell_if_asked();
}

void PresenceBoard::hear(const std::vector<std::string>& messages) {
  for (const std::string& message : messages) hear(std::string_view(message));
  retell_if_asked();
}

void PresenceBoard::hear(std::string_view message) {
  const Presence::Outcome outcome = presence_.apply(message);
  tell(outcome.changes);
  announce(outcome.question);
  asked_ |= outcome.retell;
}

void PresenceBoard::retell_if_asked() {
  if (!asked_ || retold_) return;
  asked_ = false;
  retold_ = true;
  announce(presence_.retell());
}

void PresenceBoard::tell(const std::vector<Presence::Change>& changes) {
  for (const Presence::Change& change : changes) tell(change);
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

void PresenceBoard::look(std::int64_t now) {
  if (now - looked_at_ < kLookTime) return;
  looked_at_ = now;
  retold_ = false;
  retell_if_asked();
  if (python_ != nullptr) {
    tell(presence_.drop_silent());
    return announce(presence_.beat());
  }
  for (const std::uint64_t peer : presence_.peers()) {
    if (!gateway_.segment().lives(peer)) tell(presence_.drop_worker(peer));
  }
}

}  // namespace polyglot::server
