#include "core/submission.hpp"

#include "core/json_text.hpp"

namespace polyglot::core {
namespace {

constexpr std::size_t kEnvelopeWrapping = 256;  // more than an envelope has around its names, type and data
constexpr std::size_t kResultWrapping = 192;    // the same of an acknowledgement in a list of results

}  // namespace

Submission::Submission(std::vector<Stored> stored) : began_ns_(0), stored_(std::move(stored)) {
  appends_.reserve(stored_.size());
  for (Stored& one : stored_) {
    const std::size_t size = one.envelope.size();
    one.envelope.append(kMaxOffsetLength, '\0');
    appends_.push_back({.app = one.app,
                        .channel = one.channel,
                        .envelope = {one.envelope.data(), size},
                        .id = one.id,
                        .time = one.time,
                        .key = &one.key});
  }
}

void Submission::serialise(const Origin& origin, EventIds& ids) {
  user_id_ = origin.user_id;
  source_ip_ = origin.source_ip;
  traceparent_ = origin.traceparent;
  std::size_t expected = 0;
  for (const Item& item : items_) {
    expected += app_.size() + item.channel.size() + item.event.type.size() + item.event.data.size() + kEnvelopeWrapping;
  }
  envelopes_.reserve(expected);
  appends_.reserve(items_.size());
  keys_.reserve(items_.size());
  for (std::size_t i = 0; i < items_.size(); ++i) {
    Item& item = items_[i];
    if (!item.status.ok()) continue;
    const Ulid id = ids.next(origin.time);
    item.begin = envelopes_.size();
    append_envelope(envelopes_, {app_, item.channel, id, origin.time, origin.user_id, origin.source_ip}, item.event);
    item.size = envelopes_.size() - item.begin;
    envelopes_.append(kMaxOffsetLength, '\0');
    appends_.push_back({.app = app_, .channel = item.channel, .id = id, .time = origin.time});
    if (origin.idempotency_key.empty()) continue;
    std::string key(origin.idempotency_key);
    if (origin.numbered) key.append(1, '\0').append(std::to_string(i));
    appends_.back().key = &keys_.emplace_back(app_, item.channel, key, item.event.type, item.event.data);
  }
  auto append = appends_.begin();
  for (const Item& item : items_) {
    if (item.status.ok()) (append++)->envelope = {envelopes_.data() + item.begin, item.size};
  }
}

void Submission::replace_data(std::size_t append, const Item& item, std::string_view data) {
  Append& changed = appends_[append];
  const std::string_view before(changed.envelope.data(), changed.envelope.size());
  const std::size_t begin = before.size() - envelope_from_data(before, app_, item.channel).size();
  std::string& envelope = replaced_.emplace_back();
  envelope.reserve(before.size() - item.event.data.size() + data.size() + kMaxOffsetLength);
  envelope.append(before.substr(0, begin)).append(data).append(before.substr(begin + item.event.data.size()));
  const std::size_t size = envelope.size();
  envelope.append(kMaxOffsetLength, '\0');
  changed.envelope = {envelope.data(), size};
}

void Submission::drop_refused() {
  auto append = appends_.begin();
  for (Item& item : items_) {
    if (item.status.ok()) item.status = (append++)->status;
  }
  std::erase_if(appends_, [](const Append& one) { return !one.status.ok(); });
}

std::string Submission::results() const {
  std::string reply = "{\"results\":[";
  reply.reserve(items_.size() * (kResultWrapping + (items_.empty() ? 0 : items_.front().channel.size())));
  auto append = appends_.begin();
  for (const Item& item : items_) {
    reply.append(&item == &items_.front() ? "{\"channel\":" : ",{\"channel\":");
    append_json_string(reply, item.channel);
    reply.push_back(',');
    const Append* const done = item.status.ok() ? &*append++ : nullptr;
    const Status& status = done != nullptr ? done->status : item.status;
    if (status.ok()) {
      append_ack_members(reply, done->ack());
      if (done->replayed) reply.append(",\"replayed\":true");
    } else {
      const CodeInfo& info = code_info(status.code());
      reply.append("\"code\":\"").append(info.name).append("\",\"error\":");
      append_json_string(reply, status.message());
      reply.append(",\"status\":").append(std::to_string(info.http_status));
    }
    reply.push_back('}');
  }
  return reply.append("]}");
}

}  // namespace polyglot::core
