// Gateway: what the limits of apps allow.
#include <algorithm>
#include <set>

#include "core/gateway.hpp"

namespace polyglot::core {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::size_t kKnownCounts = 1024;

std::int64_t seconds_up(std::int64_t ns) {
  return (ns + kSecondNs - 1) / kSecondNs;
}

// One kind of rate: what it is called, where its state stands, and how much of it a request takes.
struct Rate {
  std::string_view name;
  const std::optional<TokenBucket>& bucket;
  SharedU64 LimitSlot::* state;
};
struct Rates {
  explicit Rates(const AppLimits& limits)
      : both{{{"events", limits.events, &LimitSlot::events}, {"bytes", limits.bytes, &LimitSlot::bytes}}} {}
  std::array<Rate, 2> both;
};

Status too_much_at_once(const Rate& rate, std::uint64_t n) {
  return {Code::payload_too_large, "The request has " + std::to_string(n) + ' ' + std::string(rate.name) +
                                       "; the app may publish " + std::to_string(rate.bucket->burst()) +
                                       " at once. Send less in one request, or raise " + std::string(rate.name) +
                                       "_burst in the limits of the app."};
}

Status too_soon(const Rate& rate, std::int64_t wait_ns) {
  const std::int64_t seconds = std::max<std::int64_t>(seconds_up(wait_ns), 1);
  Status status(Code::rate_limited, "The app may publish " + std::to_string(rate.bucket->rate()) + ' ' +
                                        std::string(rate.name) + " per second; there is room for this in " +
                                        std::to_string(seconds) + " s.");
  return status.retry_after(static_cast<int>(seconds));
}

Status too_many_channels(std::uint32_t most, std::size_t added) {
  return {Code::rate_limited, "The app may have " + std::to_string(most) +
                                  " channels with a history; this would make " + std::to_string(added) +
                                  " more. Use those that there are, or raise channels in its limits."};
}

void append_member(std::string& json, std::string_view name, std::uint64_t number) {
  json.append(json.back() == '{' ? "\"" : ",\"").append(name).append("\":").append(std::to_string(number));
}

}  // namespace

Gateway::Volume Gateway::volume_of(std::span<const Submission::Item> items) {
  Volume volume{0, 0};
  for (const Submission::Item& item : items) {
    if (!item.status.ok()) continue;
    const Volume one = volume_of(item.event);
    volume.events += one.events;
    volume.bytes += one.bytes;
  }
  return volume;
}

Status Gateway::charge(std::string_view app, const AppLimits& limits, const Volume& volume) {
  const std::array<std::uint64_t, 2> wanted = {volume.events, volume.bytes};
  const Rates rates(limits);
  for (std::size_t i = 0; i < rates.both.size(); ++i) {
    const Rate& rate = rates.both[i];
    if (rate.bucket && wanted[i] > rate.bucket->burst()) return too_much_at_once(rate, wanted[i]);
  }
  if (!limits.events && !limits.bytes) return {};
  for (;;) {
    const auto place = limit_table_->claim(app);
    if (!place.ok()) return place.status();
    for (std::size_t i = 0; i < rates.both.size(); ++i) {
      const Rate& rate = rates.both[i];
      if (!rate.bucket) continue;
      const std::int64_t wait = rate.bucket->take(place->slot().*rate.state, wanted[i], monotonic_);
      if (wait == 0) continue;
      if (i == 1 && limits.events) limits.events->give_back(place->slot().events, wanted[0]);
      return too_soon(rate, wait);
    }
    if (place->holds()) return {};
  }
}

void Gateway::refund(std::string_view app, const AppLimits& limits, const Volume& volume) {
  const auto place = limit_table_->find(app);
  if (!place) return;
  if (limits.events) limits.events->give_back(place->slot().events, volume.events);
  if (limits.bytes) limits.bytes->give_back(place->slot().bytes, volume.bytes);
}

void Gateway::refund(const Submission& submission) {
  const AppLimits* const limits = config().limits.find(submission.app());
  if (limits == nullptr) return;
  Volume volume{0, 0};
  auto append = submission.appends().begin();
  for (const Submission::Item& item : submission.items()) {
    if (!item.status.ok()) continue;
    const Append& done = *append++;
    if (done.status.ok() && !done.replayed) continue;
    const Volume one = volume_of(item.event);
    volume.events += one.events;
    volume.bytes += one.bytes;
  }
  if (volume.events != 0) refund(submission.app(), *limits, volume);
}

bool Gateway::keep(const AppLimits* limits, std::span<Append> appends) {
  if (appends.empty()) return true;
  if (limits == nullptr || limits->channels == 0 || new_channels(appends) == 0) {
    history_.append(appends);
    return true;
  }
  // Whoever makes a channel of such an app counts and makes it before the next one counts.
  const LimitTable::Lock lock(*limit_table_);
  const std::string app(appends.front().app);
  const std::size_t added = new_channels(appends);
  if (added != 0 && channels_of(app) + added > limits->channels) {
    const Status status = too_many_channels(limits->channels, added);
    for (Append& append : appends) append.status = status;
    return false;
  }
  channel_counts_.erase(app);  // a slot that a repair left free is taken without a trace in what the count is known by
  history_.append(appends);
  return true;
}

std::size_t Gateway::new_channels(std::span<const Append> appends) const {
  std::set<std::string_view> names;
  for (const Append& append : appends) {
    if (!history_.holds(append.app, append.channel)) names.insert(append.channel);
  }
  return names.size();
}

std::size_t Gateway::channels_of(const std::string& app) {
  // A channel that comes takes a slot that was never used, or that of another one, whose past ends with it.
  const Header& header = segment_->map().header();
  const ChannelCount now{header.slots_used.load(), header.void_epoch.load(), 0};
  const auto known = channel_counts_.find(app);
  if (known != channel_counts_.end() && known->second.slots_used == now.slots_used &&
      known->second.void_epoch == now.void_epoch) {
    return known->second.channels;
  }
  if (channel_counts_.size() >= kKnownCounts) channel_counts_.clear();
  const std::size_t channels = history_.channels(app);
  channel_counts_.insert_or_assign(app, ChannelCount{now.slots_used, now.void_epoch, channels});
  return channels;
}

std::optional<Gateway::RateLimit> Gateway::rate_limit(std::string_view app) const {
  const AppLimits* limits = config().limits.find(app);
  if (limits == nullptr || (!limits->events && !limits->bytes)) return std::nullopt;
  static const LimitSlot unused{};
  const auto place = limit_table_->find(app);
  RateLimit told;
  for (const Rate& rate : Rates(*limits).both) {
    if (!rate.bucket) continue;
    const auto level = rate.bucket->level((place ? place->slot() : unused).*rate.state, monotonic_);
    const std::uint64_t window = (rate.bucket->burst() + rate.bucket->rate() - 1) / rate.bucket->rate();
    const std::string name = (told.policy.empty() ? "\"" : ", \"") + std::string(rate.name) + '"';
    told.policy += name + ";q=" + std::to_string(rate.bucket->burst()) + ";w=" + std::to_string(window);
    told.state += name + ";r=" + std::to_string(level.remaining) + ";t=" + std::to_string(seconds_up(level.full_in_ns));
  }
  return told;
}

Result<Hold> Gateway::hold(std::string_view app, Quota quota) {
  if (Status status = check(app, {}); !status.ok()) return status;
  const AppLimits* limits = config().limits.find(app);
  if (limits == nullptr) return Hold();
  return limit_table_->hold(app, quota, quota == Quota::connections ? limits->connections : limits->subscriptions);
}

Result<std::string> Gateway::limits_json(std::string_view app) const {
  if (Status status = check(app, {}); !status.ok()) return status;
  const AppLimits* limits = config().limits.find(app);
  const AppLimits none;
  if (limits == nullptr) limits = &none;
  static const LimitSlot unused{};
  const auto place = limit_table_->find(app);
  const LimitSlot& slot = place ? place->slot() : unused;
  std::string json = R"({"app_id":")" + std::string(app) + '"';
  for (const Rate& rate : Rates(*limits).both) {
    json.append(",\"").append(rate.name).append("\":");
    if (!rate.bucket) {
      json.append("null");
      continue;
    }
    json.push_back('{');
    append_member(json, "per_second", rate.bucket->rate());
    append_member(json, "burst", rate.bucket->burst());
    append_member(json, "remaining", rate.bucket->level(slot.*rate.state, monotonic_).remaining);
    json.push_back('}');
  }
  const auto append_quota = [&json](std::string_view name, std::uint32_t most, auto used) {
    json.append(",\"").append(name).append("\":");
    if (most == 0) {
      json.append("null");
      return;
    }
    json.push_back('{');
    append_member(json, "most", most);
    append_member(json, "used", used());
    json.push_back('}');
  };
  const auto open = [&](Quota quota) { return [&, quota] { return limit_table_->count(slot, quota); }; };
  append_quota("connections", limits->connections, open(Quota::connections));
  append_quota("subscriptions", limits->subscriptions, open(Quota::subscriptions));
  append_quota("channels", limits->channels, [&] { return history_.channels(app); });
  return json + '}';
}

}  // namespace polyglot::core
