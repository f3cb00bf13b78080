#include "server/phoenix_socket.hpp"

#include <limits>
#include <utility>

#include "core/channel.hpp"
#include "core/json_text.hpp"
#include "server/http_target.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

using core::Code;
using core::Status;

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// {"code","error"}
std::string problem_of(const Status& status) {
  std::string json = "{\"code\":\"";
  json.append(core::code_info(status.code()).name).append("\",\"error\":");
  core::append_json_string(json, status.message());
  return json += '}';
}

std::string quoted(std::string_view channel) {
  std::string json;
  core::append_json_string(json, channel);
  return json;
}

}  // namespace

PhoenixSocket::PhoenixSocket(Loop& loop, PhoenixTransport& transport, Identity identity)
    : loop_(loop),
      transport_(transport),
      identity_(std::move(identity)),
      expires_at_(kNever),
      access_version_(loop.access_version) {
  note_expiry(identity_.grant.get());
}

PhoenixSocket::~PhoenixSocket() {
  leave_all();
}

void PhoenixSocket::note_expiry(const core::Grant* grant) {
  if (grant != nullptr && grant->expires_at() != 0) expires_at_ = std::min(expires_at_, grant->expires_at());
}

void PhoenixSocket::reply(const PhoenixMessage& message, bool ok, std::string_view response) {
  std::string out;
  append_reply(out, message.join_ref, message.ref, message.topic_json, ok, response);
  transport_.send_message(out);
}

void PhoenixSocket::refuse(const PhoenixMessage& message, const Status& status) {
  refuse(message.join_ref, message.ref, message.topic_json, status);
}

void PhoenixSocket::refuse(std::string_view join_ref, std::string_view ref, std::string_view topic_json,
                           const Status& status) {
  loop_.gateway.counters().add_refused(status.code());
  std::string out;
  append_reply(out, join_ref, ref, topic_json, false, problem_of(status));
  transport_.send_message(out);
}

void PhoenixSocket::push(std::string_view join_ref, std::string_view channel, std::string_view event,
                         std::string_view payload) {
  std::string out;
  append_push(out, join_ref, quoted(channel), event, payload);
  transport_.send_message(out);
}

void PhoenixSocket::ask(Question::Kind kind, std::string_view channel, std::string_view token, std::string_view params,
                        Handoff::Decide decide) {
  Question question;
  question.kind = kind;
  question.app = identity_.app;
  question.channel = channel;
  question.token = token;
  question.api_key = identity_.api_key;
  question.params = params;
  question.source_ip = identity_.source_ip;
  loop_.handoff.ask(std::move(question), later<const Verdict&>(std::move(decide)));
}

template <typename Argument>
std::function<void(Argument)> PhoenixSocket::later(std::function<void(Argument)> act) {
  return [this, life = transport_.life(), act = std::move(act)](Argument argument) {
    const auto alive = life.lock();
    if (alive == nullptr) return;
    loop_.output.clear();  // it may hold what another connection was sent
    act(argument);
    transport_.flush_messages();
  };
}

bool PhoenixSocket::is_joining(const std::string& channel, std::string_view join_ref) const {
  const auto found = joined_.find(channel);
  return found != joined_.end() && found->second.join_ref == join_ref && found->second.subscription == nullptr;
}

void PhoenixSocket::on_message(const PhoenixMessage& message) {
  if (message.topic == "phoenix") {
    return message.event == "heartbeat"
               ? reply(message, true, "{}")
               : refuse(message, {Code::not_found, "The topic phoenix takes heartbeats only."});
  }
  if (message.event == "phx_join") {
    return message.binary ? refuse(message, {Code::invalid_event, "A join has a JSON payload."}) : join(message);
  }
  const auto found = joined_.find(std::string(message.topic));
  if (found == joined_.end() || found->second.subscription == nullptr) {
    return refuse(message, {Code::not_found, "This channel is not joined on this socket."});
  }
  if (message.event == "phx_leave") {
    const std::string join_ref = found->second.join_ref;
    leave(found);
    reply(message, true, "{}");
    return push(join_ref, message.topic, "phx_close", "{}");
  }
  if (message.event == "publish") return publish(message, found->second);
  if (message.event == "access_token" && !message.binary) return take_token(message);
  refuse(message, {Code::not_found, "There is no such event; a client may push publish and access_token."});
}

void PhoenixSocket::join(const PhoenixMessage& message) {
  const std::string channel(message.topic);
  if (Status status = core::check_channel(channel); !status.ok()) return refuse(message, status);
  const auto parameters = parse_join(message.payload);
  if (!parameters.ok()) return refuse(message, parameters.status());
  if (const auto found = joined_.find(channel); found != joined_.end()) {
    // As in Phoenix, the newer join takes the place of the older one.
    const std::string old_ref = found->second.join_ref;
    leave(found);
    push(old_ref, channel, "phx_close", "{}");
  }
  if (joined_.size() >= kMaxJoined) {
    return refuse(message, {Code::rate_limited,
                            "This socket has joined " + std::to_string(kMaxJoined) + " channels, the most allowed."});
  }
  joined_[channel].join_ref = message.join_ref;
  if (!loop_.options.asks_python && parameters->access_token.empty()) {
    return finish_join(channel, message.ref, message.payload, {});
  }
  ask(Question::Kind::join, channel, parameters->access_token, message.payload,
      [this, channel, join_ref = std::string(message.join_ref), ref = std::string(message.ref),
       payload = std::string(message.payload)](const Verdict& verdict) {
        if (is_joining(channel, join_ref)) finish_join(channel, ref, payload, verdict);
      });
}

void PhoenixSocket::finish_join(const std::string& channel, std::string_view ref, std::string_view payload,
                                const Verdict& verdict) {
  Joined& joined = joined_[channel];
  joined.grant = verdict.grant;
  Status status = verdict.status;
  if (status.ok() && joined.grant != nullptr && joined.grant->app() != identity_.app) {
    status = {Code::forbidden, "The token is for another app."};
  }
  if (status.ok()) status = identity_.may(loop_.gateway, channel, core::kSubscribe, joined.grant.get());
  const auto parameters = parse_join(payload);
  if (status.ok() && parameters->since && *parameters->since > kMaxOffset) {
    status = {Code::invalid_parameter, "since is larger than any offset."};
  }
  if (!status.ok() || !loop_.mirror.is_needed()) return complete_join(channel, ref, payload, status);
  loop_.mirror.follow(identity_.app, channel, parameters->since, parameters->epoch,
                      later<const Status&>([this, channel, join_ref = joined.join_ref, ref = std::string(ref),
                                            payload = std::string(payload)](const Status& followed) {
                        if (is_joining(channel, join_ref)) complete_join(channel, ref, payload, followed);
                      }));
}

void PhoenixSocket::complete_join(const std::string& channel, std::string_view ref, std::string_view payload,
                                  const Status& allowed) {
  Joined& joined = joined_[channel];
  const auto parameters = parse_join(payload);
  std::string response;
  Status status = allowed;
  if (status.ok()) status = subscribe(channel, joined, parameters.value(), response);
  if (!status.ok()) {
    refuse(joined.join_ref, ref, quoted(channel), status);
    joined_.erase(channel);
    return;
  }
  note_expiry(joined.grant.get());
  std::string out;
  append_reply(out, joined.join_ref, ref, quoted(channel), true, response);
  transport_.send_message(out);
  enter(channel, joined, parameters.value());
}

Status PhoenixSocket::subscribe(const std::string& channel, Joined& joined, const JoinParameters& parameters,
                                std::string& response) {
  auto hold = loop_.gateway.hold(identity_.app, core::Quota::subscriptions);
  if (!hold.ok()) return hold.status();
  auto started = loop_.hub.subscribe(transport_.subscriber(), identity_.app, channel, Encoding::websocket,
                                     parameters.since, parameters.epoch);
  if (!started.ok()) return started.status();
  joined.hold = std::move(hold).value();
  joined.subscription = std::move(started->subscription);
  response = "{\"epoch\":\"" + core::epoch_text(started->epoch) + "\",\"offset\":" + std::to_string(started->offset) +
             ",\"recovered\":" + (started->recovered ? "true" : "false") + '}';
  return {};
}

// After the reply: what was missed, what is new, and who is there.
void PhoenixSocket::enter(const std::string& channel, Joined& joined, const JoinParameters& parameters) {
  if (loop_.gateway.rule(identity_.app, channel).presence) {
    const core::Grant* grant = joined.grant != nullptr ? joined.grant.get() : identity_.grant.get();
    // Whoever is known by name cannot take another one.
    const std::string key = grant != nullptr && !grant->user_id().empty() ? grant->user_id() : parameters.presence_key;
    if (!key.empty() && identity_.may(loop_.gateway, channel, core::kPresence, grant).ok()) {
      std::string ref = loop_.presence.new_ref();
      if (loop_.presence.join(identity_.app, channel, key, ref, parameters.presence_meta).ok()) {
        joined.presence_key = key;
        joined.presence_ref = std::move(ref);
      }
    }
  }
  Subscription& subscription = *joined.subscription;
  loop_.hub.begin(subscription);
  if (subscription.is_live()) on_live(subscription);
}

void PhoenixSocket::on_live(const Subscription& subscription) {
  const std::string& channel = subscription.stream().channel;
  if (!loop_.gateway.rule(identity_.app, channel).presence) return;
  const auto found = joined_.find(channel);
  if (found == joined_.end()) return;
  std::string state;
  loop_.presence.append_state(state, identity_.app, channel);
  push(found->second.join_ref, channel, "presence_state", state);
}

void PhoenixSocket::publish(const PhoenixMessage& message, const Joined& joined) {
  core::Gateway& gateway = loop_.gateway;
  if (!gateway.rule(identity_.app, message.topic).client_publish) {
    return refuse(message, {Code::forbidden, "This channel takes no events from sockets; publish over REST."});
  }
  const core::Grant* grant = joined.grant != nullptr ? joined.grant.get() : identity_.grant.get();
  if (Status status = identity_.may(gateway, message.topic, core::kPublish, grant); !status.ok()) {
    return refuse(message, status);
  }
  core::Sender sender;
  sender.source_ip = identity_.source_ip;
  if (grant != nullptr) sender.user_id = grant->user_id();
  if (loop_.publishing.is_needed(identity_.app, message.topic)) return append(message, sender);
  loop_.hub.before_publish();
  const auto ack = gateway.publish(identity_.app, message.topic, message.payload, sender);
  loop_.hub.after_publish();
  if (!ack.ok()) return refuse(message, ack.status());
  std::string response;
  core::append_ack_json(response, ack.value());
  reply(message, true, response);
}

void PhoenixSocket::append(const PhoenixMessage& message, const core::Sender& sender) {
  OwnedSubmission owned{std::make_unique<const std::string>(std::string(message.topic).append(message.payload)),
                        nullptr};
  const std::string_view texts = *owned.texts;
  auto prepared = loop_.gateway.prepare(identity_.app, texts.substr(0, message.topic.size()),
                                        texts.substr(message.topic.size()), sender);
  if (!prepared.ok()) return refuse(message, prepared.status());
  owned.submission = std::move(prepared).value();
  struct Answer {
    Status status;
    core::Ack ack;  // when that is ok
  };
  auto answer = later<const Answer&>([this, join_ref = std::string(message.join_ref), ref = std::string(message.ref),
                                      topic = std::string(message.topic_json)](const Answer& kept) {
    if (!kept.status.ok()) return refuse(join_ref, ref, topic, kept.status);
    std::string response;
    core::append_ack_json(response, kept.ack);
    std::string out;
    append_reply(out, join_ref, ref, topic, true, response);
    transport_.send_message(out);
  });
  const Status status = loop_.publishing.push(std::move(owned), [&gateway = loop_.gateway, answer = std::move(answer)](
                                                                    const Status& asked, core::Submission& submission) {
    const Status& outcome = asked.ok() ? submission.outcome() : asked;
    if (!outcome.ok()) return answer({outcome, {}});
    gateway.count(submission);  // a refusal is counted where it is said
    answer({outcome, submission.appends().front().ack()});
  });
  if (!status.ok()) refuse(message, status);
}

void PhoenixSocket::take_token(const PhoenixMessage& message) {
  const auto token = parse_access_token(message.payload);
  if (!token.ok()) return refuse(message, token.status());
  ask(Question::Kind::verify, message.topic, token.value(), {},
      [this, channel = std::string(message.topic), join_ref = std::string(message.join_ref),
       ref = std::string(message.ref)](const Verdict& verdict) {
        const auto found = joined_.find(channel);
        if (found == joined_.end()) return;
        Status status = verdict.status;
        if (status.ok()) status = verdict.grant->check(identity_.app, channel, core::kSubscribe, seconds_now());
        if (!status.ok()) return refuse(join_ref, ref, quoted(channel), status);
        found->second.grant = verdict.grant;
        expires_at_ = std::min(expires_at_, seconds_now());  // look again which is the soonest
        std::string out;
        append_reply(out, join_ref, ref, quoted(channel), true, "{}");
        transport_.send_message(out);
      });
}

void PhoenixSocket::look_at_clock(std::int64_t now) {
  if (now < expires_at_ && access_version_ == loop_.access_version) return;
  expires_at_ = kNever;
  access_version_ = loop_.access_version;
  std::vector<std::pair<std::string, Status>> over;
  for (const auto& [channel, joined] : joined_) {
    if (joined.subscription == nullptr) continue;
    const core::Grant* grant = joined.grant != nullptr ? joined.grant.get() : identity_.grant.get();
    Status status = identity_.may(loop_.gateway, channel, core::kSubscribe, grant);
    if (!status.ok()) {
      over.emplace_back(channel, std::move(status));
    } else if (grant != nullptr && now < grant->expires_at()) {
      note_expiry(grant);
    }
  }
  for (const auto& [channel, status] : over) {
    const auto found = joined_.find(channel);
    push(found->second.join_ref, channel, "phx_error", problem_of(status));
    leave(found);
  }
  if (!over.empty()) transport_.flush_messages();
}

void PhoenixSocket::leave(Channels::iterator place) {
  const Joined gone = std::move(place->second);
  const std::string channel = place->first;
  joined_.erase(place);
  if (!gone.presence_ref.empty()) {
    loop_.presence.leave(identity_.app, channel, gone.presence_key, gone.presence_ref);
  }
}

void PhoenixSocket::leave_all() {
  while (!joined_.empty()) leave(joined_.begin());
}

}  // namespace polyglot::server
