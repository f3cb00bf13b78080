#include "core/gateway.hpp"

#include <chrono>
#include <ctime>
#include <span>

#include "core/channel.hpp"
#include "core/json.hpp"

namespace polyglot::core {
namespace {

// More than there is before the events of a history reply.
constexpr std::size_t kHistoryLead = kMaxAppLength + kMaxChannelLength + 96;

void append_number(std::string& out, std::uint64_t number) {
  char digits[kMaxOffsetLength];
  // An offset is written as its digits and a closing brace.
  out.append(digits, write_offset(number, digits) - 1);
}

void append_epoch(std::string& out, std::uint64_t epoch) {
  char digits[16];
  write_epoch(epoch, digits);
  out.append(digits, sizeof(digits));
}

Status check_limit(const HistoryRequest& request) {
  if (request.limit < 1 || request.limit > kMaxHistoryLimit) {
    return {Code::invalid_parameter, "limit is " + std::to_string(request.limit) + "; allowed is 1 to " +
                                         std::to_string(kMaxHistoryLimit) + "."};
  }
  std::uint64_t epoch = 0;
  if (!request.epoch.empty() && !parse_epoch(request.epoch, epoch)) {
    return {Code::invalid_parameter, "epoch is \"" + std::string(request.epoch) + "\"; allowed is 16 hex digits."};
  }
  return {};
}

Status check_sender(const Sender& sender) {
  if (sender.idempotency_key.size() <= kMaxIdempotencyKey) return {};
  return {Code::invalid_parameter, "The Idempotency-Key has " + std::to_string(sender.idempotency_key.size()) +
                                       " bytes; allowed are up to " + std::to_string(kMaxIdempotencyKey) + "."};
}

}  // namespace

bool parse_durability(std::string_view text, Durability& durability) {
  if (text == "process")
    durability = Durability::process;
  else if (text == "interval")
    durability = Durability::interval;
  else if (text == "sync")
    durability = Durability::sync;
  else
    return false;
  return true;
}

std::int64_t system_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Result<std::unique_ptr<Gateway>> Gateway::open(const GatewayOptions& options) {
  auto segment = Segment::open(options.segment);
  if (!segment.ok()) return segment.status();
  auto limits = LimitTable::open(*segment.value(), options.monotonic);
  if (!limits.ok()) return limits.status();
  return std::unique_ptr<Gateway>(new Gateway(std::move(segment).value(), std::move(limits).value(), options));
}

Gateway::Gateway(std::unique_ptr<Segment> segment, std::unique_ptr<LimitTable> limits, const GatewayOptions& options)
    : segment_(std::move(segment)),
      limit_table_(std::move(limits)),
      monotonic_(options.monotonic),
      durability_(options.durability),
      clock_(options.clock),
      history_(*segment_),
      counters_(segment_->map(), segment_->worker()),
      gauges_(*segment_),
      apps_(*segment_) {
  configure(Access(), Rules());
  if (durability_ != Durability::interval) return;
  flusher_ = std::make_unique<Flusher>();
  flusher_->thread = std::thread([this, &flusher = *flusher_] { flush_each_second(flusher); });
}

Gateway::~Gateway() {
  if (flusher_ == nullptr) return;
  if (segment_->forked()) {
    // The thread did not come along into the child, and to end what it waits on would be to wait for it.
    [[maybe_unused]] const Flusher* left = flusher_.release();
    return;
  }
  {
    const std::lock_guard guard(flusher_->mutex);
    flusher_->stopping = true;
  }
  flusher_->wakes.notify_all();
  flusher_->thread.join();
}

void Gateway::flush_each_second(Flusher& flusher) {
  std::unique_lock guard(flusher.mutex);
  while (!flusher.wakes.wait_for(guard, std::chrono::seconds(1), [&] { return flusher.stopping; })) {
    guard.unlock();
    // A disk that refuses is told of by those who were promised something; nothing was promised for this flush.
    static_cast<void>(segment_->sync(history_.head()));
    guard.lock();
  }
}

void Gateway::configure(Access access, Rules rules, Limits limits) {
  const std::lock_guard guard(configs_mutex_);
  configs_.push_back(
      std::make_unique<const Config>(Config{std::move(access), std::move(rules), std::move(limits), configs_.size()}));
  config_.store(configs_.back().get(), std::memory_order_release);
}

Status Gateway::check(std::string_view app, std::string_view channel) const {
  if (segment_->forked()) {
    return {Code::engine_unavailable, "The history was opened before this process was forked; open it in each worker."};
  }
  if (Status status = check_app(app); !status.ok()) return status;
  return channel.empty() ? Status() : check_channel(channel);
}

Status Gateway::check_size(std::string_view app, std::string_view channel, std::size_t bytes) const {
  const std::uint64_t allowed = rule(app, channel).max_event_bytes;
  if (bytes <= allowed) return {};
  return {Code::payload_too_large,
          "The event has " + std::to_string(bytes) + " bytes; this channel allows " + std::to_string(allowed) + "."};
}

const ChannelRule& Gateway::rule(std::string_view app, std::string_view channel) const {
  return config().rules.find(app, channel);
}

Status Gateway::authorize(std::string_view app, std::string_view channel, ApiKey& key, Scope scope) const {
  if (Status status = check(app, channel); !status.ok()) return status;
  const bool reads = scope == kHistory || scope == kSubscribe;
  if (reads && (channel.empty() ? config().access.development() : rule(app, channel).public_read)) return {};
  const Access& access = config().access;
  return access.check(app, key, scope, access.has_ends() ? clock_() / 1'000'000'000 : 0);
}

Status Gateway::settle() {
  return durability_ == Durability::sync ? segment_->sync(history_.head()) : Status();
}

Result<Ack> Gateway::publish(std::string_view app, std::string_view channel, std::string_view body,
                             const Sender& sender) {
  const std::int64_t began = clock_();
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  if (Status status = check_sender(sender); !status.ok()) return status;
  if (Status status = check_size(app, channel, body.size()); !status.ok()) return status;
  const auto event = parse_event(body);
  if (!event.ok()) return event.status();
  const AppLimits* const limits = config().limits.find(app);
  const Volume volume = volume_of(event.value());
  if (limits != nullptr) {
    if (Status status = charge(app, *limits, volume); !status.ok()) return status;
  }

  const TimeUs time = began / 1000;
  const Ulid id = ids_.next(time);
  thread_local std::string envelope;
  envelope.clear();
  append_envelope(envelope, {app, channel, id, time, sender.user_id, sender.source_ip}, event.value());
  const std::size_t size = envelope.size();
  envelope.resize(size + kMaxOffsetLength);
  std::optional<IdempotencyKey> key;
  if (!sender.idempotency_key.empty()) key.emplace(app, channel, sender.idempotency_key, event->type, event->data);

  Append append{.app = app, .channel = channel, .envelope = {envelope.data(), size}, .id = id, .time = time};
  append.key = key ? &*key : nullptr;
  keep(limits, {&append, 1});
  if (limits != nullptr && (append.replayed || !append.status.ok())) refund(app, *limits, volume);
  if (!append.status.ok()) return append.status;
  if (Status status = settle(); !status.ok()) return status;
  if (append.replayed) {
    counters_.add(Counter::replays);
  } else {
    count_published(app, 1, append.envelope.size());
  }
  counters_.add_time(Timer::publish, clock_() - began);
  return append.ack();
}

Result<std::unique_ptr<Submission>> Gateway::prepare(std::string_view app, std::string_view channel,
                                                     std::string_view body, const Sender& sender) {
  const std::int64_t began = clock_();
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  if (Status status = check_sender(sender); !status.ok()) return status;
  if (Status status = check_size(app, channel, body.size()); !status.ok()) return status;
  const auto event = parse_event(body);
  if (!event.ok()) return event.status();
  return serialised(app, {{event.value(), channel}}, sender, began, false);
}

Result<std::unique_ptr<Submission>> Gateway::prepare_batch(std::string_view app, std::string_view body, bool ndjson,
                                                           const Sender& sender) {
  const std::int64_t began = clock_();
  if (Status status = check(app, {}); !status.ok()) return status;
  if (Status status = check_sender(sender); !status.ok()) return status;
  auto sent = ndjson ? parse_ndjson(body) : parse_batch(body);
  if (!sent.ok()) return sent.status();
  std::vector<Submission::Item> items;
  items.reserve(sent->size());
  for (BatchItem& item : sent.value()) items.push_back({item.event, item.event.channel, std::move(item.status)});
  return serialised(app, checked(app, std::move(items)), sender, began, true);
}

Result<std::unique_ptr<Submission>> Gateway::prepare_broadcast(std::string_view app, std::string_view body,
                                                               const Sender& sender) {
  const std::int64_t began = clock_();
  if (Status status = check(app, {}); !status.ok()) return status;
  if (Status status = check_sender(sender); !status.ok()) return status;
  const auto sent = parse_broadcast(body);
  if (!sent.ok()) return sent.status();
  std::vector<Submission::Item> items;
  items.reserve(sent->channels.size());
  for (const std::string_view channel : sent->channels) items.push_back({sent->event, channel});
  return serialised(app, checked(app, std::move(items)), sender, began, true);
}

std::vector<Submission::Item> Gateway::checked(std::string_view app, std::vector<Submission::Item> items) const {
  for (Submission::Item& item : items) {
    if (item.status.ok()) item.status = check_channel(item.channel);
    if (item.status.ok()) {
      item.status = check_size(app, item.channel, item.event.type.size() + item.event.data.size() + kEventWrapping);
    }
  }
  return items;
}

Result<std::unique_ptr<Submission>> Gateway::serialised(std::string_view app, std::vector<Submission::Item> items,
                                                        const Sender& sender, std::int64_t began, bool numbered) {
  if (const AppLimits* const limits = config().limits.find(app); limits != nullptr) {
    if (Status status = charge(app, *limits, volume_of(items)); !status.ok()) return status;
  }
  auto submission = std::make_unique<Submission>(app, std::move(items), began);
  submission->serialise({.time = began / 1000,
                         .user_id = sender.user_id,
                         .source_ip = sender.source_ip,
                         .idempotency_key = sender.idempotency_key,
                         .traceparent = sender.traceparent,
                         .numbered = numbered},
                        ids_);
  return submission;
}

Result<std::string> Gateway::publish_batch(std::string_view app, std::string_view body, bool ndjson,
                                           const Sender& sender) {
  return append_all(prepare_batch(app, body, ndjson, sender));
}

Result<std::string> Gateway::broadcast(std::string_view app, std::string_view body, const Sender& sender) {
  return append_all(prepare_broadcast(app, body, sender));
}

Status Gateway::append(Submission& submission) {
  keep(config().limits.find(submission.app()), submission.appends());
  return settle();
}

Result<std::string> Gateway::append_all(Result<std::unique_ptr<Submission>> prepared) {
  if (!prepared.ok()) return prepared.status();
  Submission& submission = *prepared.value();
  if (!keep(config().limits.find(submission.app()), submission.appends())) {
    refund(submission);
    return submission.appends().front().status;
  }
  if (Status status = settle(); !status.ok()) return status;
  std::string results = submission.results();
  count(submission);
  return results;
}

HistoryQuery Gateway::query_for(const HistoryRequest& request, const ChannelRule& rule) const {
  HistoryQuery query{
      .since = request.since, .until = request.until, .limit = request.limit, .reverse = request.reverse};
  std::uint64_t epoch = 0;
  if (parse_epoch(request.epoch, epoch)) query.epoch = epoch;
  query.size = rule.history_size;
  if (rule.history_ttl_us > 0) query.not_before = clock_() / 1000 - rule.history_ttl_us;
  return query;
}

Result<std::string_view> Gateway::history(std::string_view app, std::string_view channel, const HistoryRequest& request,
                                          HistoryPage& page) {
  const std::int64_t began = clock_();
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  if (Status status = check_limit(request); !status.ok()) return status;
  HistoryQuery query = query_for(request, rule(app, channel));
  query.lead = kHistoryLead;
  history_.read(app, channel, query, page);

  thread_local std::string part;
  part.assign("{\"app_id\":\"").append(app).append("\",\"channel\":\"").append(channel).append("\",\"count\":");
  append_number(part, page.items.size());
  part.append(",\"events\":[");
  const std::size_t begin = kHistoryLead - part.size();
  part.copy(page.bytes.data() + begin, part.size());
  part.assign("],\"epoch\":\"");
  append_epoch(part, page.epoch);
  part.append("\",\"offset\":");
  append_number(part, page.last);
  if (page.gap == GapReason::none) {
    part.append(",\"recovered\":true,\"gap\":null}");
  } else {
    part.append(",\"recovered\":false,\"gap\":{\"from\":");
    append_number(part, page.gap_from);
    part.append(",\"to\":");
    append_number(part, page.gap_to);
    part.append(",\"reason\":\"").append(gap_reason_text(page.gap)).append("\"}}");
    counters_.add(Counter::gaps);
  }
  page.bytes.append(part);
  counters_.add(Counter::history_reads);
  counters_.add_time(Timer::history, clock_() - began);
  return page.bytes.text().substr(begin);
}

Status Gateway::read(std::string_view app, std::string_view channel, const HistoryRequest& request, HistoryPage& page) {
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  if (Status status = check_limit(request); !status.ok()) return status;
  HistoryQuery query = query_for(request, rule(app, channel));
  query.size = ~std::uint64_t{0};
  query.enough = kFollowerPage;
  if (!query.since) query.limit = 0;
  history_.read(app, channel, query, page);
  counters_.add(Counter::follower_reads);
  if (page.gap != GapReason::none) counters_.add(Counter::gaps);
  return {};
}

Result<std::uint64_t> Gateway::forget(std::string_view app, std::string_view channel) {
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  const std::uint64_t epoch = history_.forget(app, channel);
  if (Status status = settle(); !status.ok()) return status;
  return epoch;
}

Result<ChannelState> Gateway::channel(std::string_view app, std::string_view channel) {
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  HistoryQuery query = query_for({}, rule(app, channel));
  query.limit = 0;
  return state_of(app, channel, query);
}

ChannelState Gateway::state_of(std::string_view app, std::string_view channel, const HistoryQuery& query) {
  HistoryPage page;
  history_.read(app, channel, query, page);
  return {std::string(channel), page.epoch, page.first, page.last, page.newest};
}

Result<std::vector<ChannelState>> Gateway::channels(std::string_view app, std::string_view after, std::size_t limit) {
  if (Status status = check(app, {}); !status.ok()) return status;
  std::vector<ChannelState> states;
  for (const std::string& name : history_.list(app, after, limit)) {
    auto state = channel(app, name);
    if (!state.ok()) return state.status();
    states.push_back(std::move(state).value());
  }
  return states;
}

}  // namespace polyglot::core
