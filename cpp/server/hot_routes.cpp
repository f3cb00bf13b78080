#include "server/hot_routes.hpp"

#include "server/trace_parent.hpp"

namespace polyglot::server {
namespace {

using core::Status;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kNdjson = "application/x-ndjson";

bool is_ndjson(const HttpRequest& request) {
  return request.value(Field::content_type) == kNdjson;
}

bool has_plain_type(const HttpRequest& request, Route route) {
  const std::string_view type = request.value(Field::content_type);
  return type.empty() || type == kJson || type == "application/json; charset=utf-8" ||
         (route == Route::batch && type == kNdjson);
}

bool has_plain_fields(const HttpRequest& request) {
  if (request.repeated(Field::api_key) || request.repeated(Field::request_id) || request.repeated(Field::origin) ||
      request.repeated(Field::forwarded_for)) {
    return false;
  }
  return request.has(Field::api_key) || !request.has(Field::authorization);
}

}  // namespace

bool HotRoutes::take(const HttpRequest& request, const Routed& routed, const HttpTarget& target) {
  // Who is there is known here alone; a token that is not needed is not looked at.
  if (routed.route == Route::presence) return !request.repeated(Field::api_key);
  if (!has_plain_fields(request)) return false;
  switch (routed.route) {
    case Route::publish:
    case Route::batch:
    case Route::broadcast:
      return has_plain_type(request, routed.route) && !request.repeated(Field::content_type) &&
             !request.has(Field::content_encoding) && !request.repeated(Field::idempotency_key) &&
             is_plain(request.value(Field::idempotency_key));
    case Route::history:
      return take_history(target.query);
    case Route::alive:
    case Route::ready:
      return true;
    default:
      return false;
  }
}

bool HotRoutes::take_history(std::string_view query) {
  history_ = {};
  epoch_.clear();
  if (query.empty()) return true;
  const auto parameters = parse_query(query);
  if (!parameters) return false;
  unsigned seen = 0;
  const auto once = [&seen](unsigned bit) {
    const bool first = (seen & bit) == 0;
    seen |= bit;
    return first;
  };
  for (const auto& [name, value] : *parameters) {
    std::uint64_t number = 0;
    if (name == "limit") {
      if (!once(1) || !parse_offset(value, number) || number < 1 || number > core::kMaxHistoryLimit) return false;
      history_.limit = static_cast<std::uint32_t>(number);
    } else if (name == "since" || name == "until") {
      const bool since = name == "since";
      if (!once(since ? 2 : 4) || !parse_offset(value, number)) return false;
      (since ? history_.since : history_.until) = number;
    } else if (name == "reverse") {
      if (!once(8) || (value != "true" && value != "1" && value != "false" && value != "0")) return false;
      history_.reverse = value == "true" || value == "1";
    } else if (name == "epoch") {
      if (!once(16) || !core::parse_epoch(value, number)) return false;
      epoch_ = value;
    }
  }
  history_.epoch = epoch_;
  return true;
}

std::size_t HotRoutes::body_limit(const Routed& routed) const {
  return routed.route == Route::publish ? gateway_.rule(routed.app, routed.channel).max_event_bytes : max_batch_bytes_;
}

Status HotRoutes::check(const HttpRequest& request, const Routed& routed, core::ApiKey& key) const {
  if (Status status = gateway_.authorize(routed.app, routed.channel, key, core::kPublish); !status.ok()) return status;
  const std::size_t limit = body_limit(routed);
  return request.content_length() > limit ? body_too_large(limit) : Status();
}

core::Sender HotRoutes::sender_of(const HttpRequest& request, const SourceAddress::Peer& peer,
                                  std::string& forwarded) const {
  core::Sender sender;
  sender.idempotency_key = request.value(Field::idempotency_key);
  sender.source_ip = peer.address;
  sender.traceparent = traceparent_of(request);
  if (peer.trusted && request.has(Field::forwarded_for)) {
    forwarded = source_.of(peer, request.value(Field::forwarded_for));
    sender.source_ip = forwarded;
  }
  return sender;
}

core::Result<OwnedSubmission> HotRoutes::prepare(const HttpRequest& request, const Routed& routed,
                                                 std::string_view body, const SourceAddress::Peer& peer) const {
  std::string forwarded;
  const core::Sender sender = sender_of(request, peer, forwarded);
  std::string texts;
  texts.reserve(routed.channel.size() + body.size());
  texts.append(routed.channel).append(body);
  OwnedSubmission owned{std::make_unique<const std::string>(std::move(texts)), nullptr};
  const std::string_view channel = std::string_view(*owned.texts).substr(0, routed.channel.size());
  const std::string_view kept = std::string_view(*owned.texts).substr(routed.channel.size());
  auto prepared = routed.route == Route::publish ? gateway_.prepare(routed.app, channel, kept, sender)
                  : routed.route == Route::batch ? gateway_.prepare_batch(routed.app, kept, is_ndjson(request), sender)
                                                 : gateway_.prepare_broadcast(routed.app, kept, sender);
  if (!prepared.ok()) return prepared.status();
  owned.submission = std::move(prepared).value();
  return owned;
}

std::string HotRoutes::rate_limit_fields(std::string_view app) const {
  const auto limit = gateway_.rate_limit(app);
  return limit ? "RateLimit-Policy: " + limit->policy + "\r\nRateLimit: " + limit->state + "\r\n" : std::string();
}

Status HotRoutes::answer(const HttpRequest& request, const Routed& routed, std::string_view body,
                         const SourceAddress::Peer& peer, core::ApiKey& key, Reply& reply) {
  std::string forwarded;
  core::Sender sender;
  if (routed.takes_events) sender = sender_of(request, peer, forwarded);
  switch (routed.route) {
    case Route::publish: {
      hub_.before_publish();
      const auto ack = gateway_.publish(routed.app, routed.channel, body, sender);
      hub_.after_publish();
      if (!ack.ok()) return ack.status();
      body_.clear();
      core::append_ack_json(body_, ack.value());
      fields_ = rate_limit_fields(routed.app);
      if (ack->replayed) fields_ += "Idempotency-Replayed: true\r\n";
      reply.fields = fields_;
      break;
    }
    case Route::batch:
    case Route::broadcast: {
      hub_.before_publish();
      auto results = routed.route == Route::batch ? gateway_.publish_batch(routed.app, body, is_ndjson(request), sender)
                                                  : gateway_.broadcast(routed.app, body, sender);
      hub_.after_publish();
      if (!results.ok()) return results.status();
      body_ = std::move(results).value();
      fields_ = rate_limit_fields(routed.app);
      reply.fields = fields_;
      break;
    }
    case Route::history: {
      if (Status status = gateway_.authorize(routed.app, routed.channel, key, core::kHistory); !status.ok()) {
        return status;
      }
      const auto events = gateway_.history(routed.app, routed.channel, history_, page_);
      if (!events.ok()) return events.status();
      reply.body = events.value();
      return {};
    }
    case Route::presence: {
      if (Status status = gateway_.authorize(routed.app, routed.channel, key, core::kHistory); !status.ok()) {
        return status;
      }
      body_ = presence_.members_json(routed.app, routed.channel);
      break;
    }
    case Route::alive:
      reply.body = "{\"status\":\"alive\"}";
      return {};
    case Route::ready:
      reply.body = "{\"status\":\"ready\"}";
      return {};
    default:
      break;
  }
  reply.body = body_;
  return {};
}

}  // namespace polyglot::server
