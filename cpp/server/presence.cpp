#include "server/presence.hpp"

#include <iterator>
#include <optional>
#include <utility>

#include "core/channel.hpp"
#include "core/json_text.hpp"

namespace polyglot::server {
namespace {

void append_members(std::string& out, const Presence::Members& members) {
  out.push_back('{');
  const char* before_key = "";
  for (const auto& [key, metas] : members) {
    out.append(before_key);
    core::append_json_string(out, key);
    out.append(":{\"metas\":[");
    const char* before_meta = "";
    for (const std::string& meta : metas) {
      out.append(before_meta).append(meta);
      before_meta = ",";
    }
    out.append("]}");
    before_key = ",";
  }
  out.push_back('}');
}

std::vector<Presence::Change> listed(std::map<std::string, Presence::Change, std::less<>>&& changes) {
  std::vector<Presence::Change> list;
  list.reserve(changes.size());
  for (auto& [place, change] : changes) list.push_back(std::move(change));
  return list;
}

}  // namespace

Presence::Change& Presence::change_of(Changes& changes, const std::string& place) {
  const auto [at, is_new] = changes.try_emplace(place);
  if (is_new) {
    const std::size_t slash = place.find('/');
    at->second.app = place.substr(0, slash);
    at->second.channel = place.substr(slash + 1);
  }
  return at->second;
}

void Presence::add(std::uint64_t worker, std::uint64_t list, const PresenceEntry& entry, Changes& changes) {
  const std::string place = core::place_of(entry.app, entry.channel);
  Metas& metas = channels_[place][std::string(entry.key)];
  const auto [at, is_new] = metas.try_emplace({std::string(entry.ref), worker});
  Meta& meta = at->second;
  meta.list = list;
  if (!is_new && meta.json == entry.json) return;
  meta.json = entry.json;
  change_of(changes, place).joins[std::string(entry.key)].push_back(meta.json);
  if (is_new && worker != worker_) ++told_[worker].metas;
}

void Presence::remove(std::uint64_t worker, const PresenceEntry& entry, Changes& changes) {
  const auto channel = channels_.find(core::place_of(entry.app, entry.channel));
  if (channel == channels_.end()) return;
  const auto member = channel->second.find(entry.key);
  if (member == channel->second.end()) return;
  const auto meta = member->second.find({std::string(entry.ref), worker});
  if (meta == member->second.end()) return;
  change_of(changes, channel->first).leaves[member->first].push_back(std::move(meta->second.json));
  member->second.erase(meta);
  if (member->second.empty()) channel->second.erase(member);
  if (channel->second.empty()) channels_.erase(channel);
  if (worker != worker_) --told_[worker].metas;
}

void Presence::drop(std::uint64_t worker, std::uint64_t but, Changes& changes) {
  std::size_t& left = told_[worker].metas;
  for (auto channel = channels_.begin(); channel != channels_.end() && left != 0;) {
    for (auto member = channel->second.begin(); member != channel->second.end();) {
      left -= std::erase_if(member->second, [&](auto& meta) {
        if (meta.first.second != worker || (but != 0 && meta.second.list == but)) return false;
        change_of(changes, channel->first).leaves[member->first].push_back(std::move(meta.second.json));
        return true;
      });
      member = member->second.empty() ? channel->second.erase(member) : std::next(member);
    }
    channel = channel->second.empty() ? channels_.erase(channel) : std::next(channel);
  }
}

core::Result<Presence::Said> Presence::join(std::string_view app, std::string_view channel, std::string_view key,
                                            std::string_view ref, std::string_view meta) {
  if (!is_presence_name(key) || !is_presence_name(ref)) {
    return core::Status(core::Code::invalid_parameter, "A member needs a key and a ref, each of some UTF-8.");
  }
  auto json = presence_meta(ref, meta);
  if (!json) return core::Status(core::Code::invalid_parameter, "The meta of a member is a JSON object.");
  const PresenceEntry entry{app, channel, key, ref, *std::move(json)};
  if (entry.size() > kMaxMember) {
    return core::Status(core::Code::invalid_parameter, "The member has " + std::to_string(entry.size()) +
                                                           " bytes; allowed are " + std::to_string(kMaxMember) + ".");
  }
  Changes changes;
  add(worker_, list_, entry, changes);
  return said(Kind::join, entry, std::move(changes));
}

Presence::Said Presence::leave(std::string_view app, std::string_view channel, std::string_view key,
                               std::string_view ref) {
  const PresenceEntry entry{app, channel, key, ref, ""};
  Changes changes;
  remove(worker_, entry, changes);
  if (changes.empty()) return {};
  return said(Kind::leave, entry, std::move(changes));
}

Presence::Said Presence::said(Kind kind, const PresenceEntry& entry, Changes&& changes) {
  ++number_;
  PresenceMessage message = head(kind);
  message.entries.push_back(entry);
  // A meta that was here already is no change.
  return {message.bytes(), changes.empty() ? Change() : std::move(changes.begin()->second)};
}

PresenceMessage Presence::head(Kind kind) const {
  return {kind, worker_, number_, list_, 0, {}};
}

std::vector<std::string> Presence::hello() {
  std::vector<std::string> messages = {head(Kind::hello).bytes()};
  for (std::string& part : retell()) messages.push_back(std::move(part));
  return messages;
}

std::vector<std::string> Presence::retell() {
  std::vector<std::string> parts(1);  // their entries: who has no members says that
  for (const auto& [place, channel] : channels_) {
    const std::string_view name = place;
    const std::size_t slash = name.find('/');
    for (const auto& [key, metas] : channel) {
      for (const auto& [from, meta] : metas) {
        if (from.second != worker_) continue;
        std::string bytes;
        PresenceEntry{name.substr(0, slash), name.substr(slash + 1), key, from.first, meta.json}.append_to(bytes);
        if (PresenceMessage::kHeadSize + parts.back().size() + bytes.size() > kMaxPresenceMessage) parts.emplace_back();
        parts.back().append(bytes);
      }
    }
  }
  list_ = number_ + 1;
  for (std::string& part : parts) {
    ++number_;
    part.insert(0, head(&part == &parts.back() ? Kind::end : Kind::list).head());
  }
  return parts;
}

std::string Presence::beat() const {
  return head(Kind::beat).bytes();
}

Presence::Outcome Presence::apply(std::string_view bytes) {
  const auto message = PresenceMessage::parse(bytes);
  if (!message) return {};
  if (message->worker == worker_) {
    heard_myself_ |= message->kind == Kind::beat;
    return {};
  }
  Outcome outcome;
  Told& told = told_[message->worker];
  told.silent = 0;
  if (message->kind == Kind::hello) {
    outcome.retell = message->whom == 0 || message->whom == worker_;
  } else if (message->kind == Kind::beat) {
    if (told.list == 0 || told.number != message->number) {
      PresenceMessage question = head(Kind::hello);
      question.whom = message->worker;
      outcome.question = question.bytes();
    }
  } else {
    Changes changes;
    read(*message, told, changes);
    outcome.changes = listed(std::move(changes));
  }
  return outcome;
}

void Presence::read(const PresenceMessage& message, Told& told, Changes& changes) {
  if (message.number != told.number + 1) told.list = 0;
  told.number = message.number;
  if (message.kind == Kind::leave) return remove(message.worker, message.entries.front(), changes);
  for (const PresenceEntry& entry : message.entries) add(message.worker, message.list, entry, changes);
  if (message.kind == Kind::join) return;
  if (message.number == message.list) told.list = message.list;
  if (message.kind == Kind::end && told.list == message.list) drop(message.worker, message.list, changes);
}

std::vector<Presence::Change> Presence::drop_silent() {
  if (!std::exchange(heard_myself_, false)) return {};
  Changes changes;
  for (auto& [worker, told] : told_) {
    if (++told.silent > kPresenceLease) drop(worker, 0, changes);
  }
  std::erase_if(told_, [](const auto& one) { return one.second.silent > kPresenceLease; });
  return listed(std::move(changes));
}

std::vector<std::uint64_t> Presence::peers() const {
  std::vector<std::uint64_t> workers;
  workers.reserve(told_.size());
  for (const auto& [worker, told] : told_) workers.push_back(worker);
  return workers;
}

std::vector<Presence::Change> Presence::drop_worker(std::uint64_t worker) {
  if (worker == worker_) return {};
  Changes changes;
  drop(worker, 0, changes);
  told_.erase(worker);
  return listed(std::move(changes));
}

std::size_t Presence::members(std::string_view app, std::string_view channel) const {
  const auto found = channels_.find(core::place_of(app, channel));
  return found == channels_.end() ? 0 : found->second.size();
}

void Presence::append_state(std::string& out, std::string_view app, std::string_view channel) const {
  Members members;
  if (const auto found = channels_.find(core::place_of(app, channel)); found != channels_.end()) {
    for (const auto& [key, metas] : found->second) {
      for (const auto& [from, meta] : metas) members[key].push_back(meta.json);
    }
  }
  append_members(out, members);
}

void Presence::append_diff(std::string& out, const Change& change) {
  out.append("{\"joins\":");
  append_members(out, change.joins);
  out.append(",\"leaves\":");
  append_members(out, change.leaves);
  out.push_back('}');
}

}  // namespace polyglot::server
