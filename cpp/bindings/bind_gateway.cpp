#include "bind_gateway.hpp"

#include <pybind11/stl.h>

#include <cstring>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "bind_submission.hpp"
#include "core/epoch.hpp"
#include "core/gateway.hpp"

namespace polyglot::bindings {

py::object ack_of(const core::Ack& ack) {
  static const TupleType type("Ack");
  thread_local std::string body;
  body.clear();
  core::append_ack_json(body, ack);
  return type(to_bytes(body), ack.replayed, ack.spooled);
}

namespace {

// Runs `work` with the gateway, without the GIL when it may wait for the disk: then close() may come meanwhile.
template <typename Work>
auto run(const OpenGateway& open, Work work) {
  if (open.get().durability() != core::Durability::sync) return work(open.get());
  const auto gateway = open.share();
  const py::gil_scoped_release release;
  return work(*gateway);
}

core::HistoryRequest request_of(std::int64_t limit, std::optional<std::uint64_t> since,
                                std::optional<std::uint64_t> until, bool reverse, std::string_view epoch) {
  const bool fits = limit >= 0 && limit <= core::kMaxHistoryLimit;
  return {.limit = fits ? static_cast<std::uint32_t>(limit) : 0,
          .since = since,
          .until = until,
          .reverse = reverse,
          .epoch = epoch};
}

py::object state_of(std::string_view app, const core::ChannelState& state) {
  static const TupleType type("ChannelInfo");
  const py::object newest = state.newest == 0 ? py::object(py::none()) : py::str(core::timestamp_text(state.newest));
  return type(app, state.channel, core::epoch_text(state.epoch), state.first, state.last, newest);
}

py::object page_of(const core::HistoryPage& page) {
  static const TupleType page_type("Page");
  static const TupleType gap_type("Gap");
  py::list events(page.items.size());
  for (std::size_t i = 0; i < page.items.size(); ++i) {
    const core::HistoryItem& item = page.items[i];
    events[i] = py::make_tuple(item.offset, py::bytes(page.bytes.data() + item.begin, item.size));
  }
  const py::object gap = page.gap == core::GapReason::none
                             ? py::object(py::none())
                             : gap_type(page.gap_from, page.gap_to, core::gap_reason_text(page.gap));
  return page_type(core::epoch_text(page.epoch), page.items.empty() ? page.last : page.items.back().offset, events,
                   gap);
}

OpenGateway open(const std::string& data_dir, std::uint32_t history_size, std::uint64_t history_bytes,
                 std::uint32_t max_channels, std::uint32_t idempotency_keys, const std::string& durability) {
  core::GatewayOptions options;
  options.segment = {data_dir, history_size, history_bytes, max_channels, idempotency_keys};
  if (!core::parse_durability(durability, options.durability)) {
    raise({core::Code::invalid_parameter,
           "durability is \"" + durability + "\"; allowed are process, interval and sync."});
  }
  return OpenGateway(value_or_raise(core::Gateway::open(options)));
}

std::vector<std::string> inspect(const std::string& data_dir, std::uint32_t history_size, std::uint64_t history_bytes,
                                 std::uint32_t max_channels, std::uint32_t idempotency_keys) {
  return value_or_raise(
      core::Segment::inspect({data_dir, history_size, history_bytes, max_channels, idempotency_keys}));
}

void bind_publishing(py::class_<OpenGateway>& type) {
  using namespace py::literals;
  type.def(
          "publish",
          [](const OpenGateway& open, Text app, Text channel, const py::bytes& body, Text key, Text source_ip,
             Text user_id, Text traceparent) {
            const core::Sender sender{key, source_ip, user_id, traceparent};
            auto ack =
                run(open, [&](core::Gateway& gateway) { return gateway.publish(app, channel, view_of(body), sender); });
            return ack_of(value_or_raise(std::move(ack)));
          },
          "app"_a, "channel"_a, "body"_a, "idempotency_key"_a = "", "source_ip"_a = "", "user_id"_a = "",
          "traceparent"_a = "")
      .def(
          "publish_batch",
          [](const OpenGateway& open, Text app, const py::bytes& body, bool ndjson, Text key, Text source_ip,
             Text user_id, Text traceparent) {
            const core::Sender sender{key, source_ip, user_id, traceparent};
            auto reply = run(open, [&](core::Gateway& gateway) {
              return gateway.publish_batch(app, view_of(body), ndjson, sender);
            });
            return to_bytes(value_or_raise(std::move(reply)));
          },
          "app"_a, "body"_a, "ndjson"_a = false, "idempotency_key"_a = "", "source_ip"_a = "", "user_id"_a = "",
          "traceparent"_a = "")
      .def(
          "broadcast",
          [](const OpenGateway& open, Text app, const py::bytes& body, Text key, Text source_ip, Text user_id,
             Text traceparent) {
            const core::Sender sender{key, source_ip, user_id, traceparent};
            auto reply =
                run(open, [&](core::Gateway& gateway) { return gateway.broadcast(app, view_of(body), sender); });
            return to_bytes(value_or_raise(std::move(reply)));
          },
          "app"_a, "body"_a, "idempotency_key"_a = "", "source_ip"_a = "", "user_id"_a = "", "traceparent"_a = "");
}

// App, channel, id, time, idempotency key, hash of the event, envelope.
using StoredEvent = std::tuple<std::string, std::string, py::bytes, std::int64_t, py::bytes, std::uint64_t, py::bytes>;

template <typename Array>
void copy_to(const py::bytes& bytes, Array& array) {
  if (view_of(bytes).size() != sizeof(array)) throw py::value_error("it does not have 16 bytes");
  std::memcpy(array.data(), view_of(bytes).data(), sizeof(array));
}

void bind_preparing(py::class_<OpenGateway>& type) {
  using namespace py::literals;
  type.def(
          "prepare",
          [](const OpenGateway& open, Text app, Text channel, const py::bytes& body, Text key, Text source_ip,
             Text user_id, Text traceparent) {
            return OpenSubmission(open.share(), body, channel, [&](core::Gateway& gateway, auto text, auto name) {
              return gateway.prepare(app, name, text, {key, source_ip, user_id, traceparent});
            });
          },
          "app"_a, "channel"_a, "body"_a, "idempotency_key"_a = "", "source_ip"_a = "", "user_id"_a = "",
          "traceparent"_a = "")
      .def(
          "prepare_batch",
          [](const OpenGateway& open, Text app, const py::bytes& body, bool ndjson, Text key, Text source_ip,
             Text user_id, Text traceparent) {
            return OpenSubmission(open.share(), body, {}, [&](core::Gateway& gateway, auto text, auto) {
              return gateway.prepare_batch(app, text, ndjson, {key, source_ip, user_id, traceparent});
            });
          },
          "app"_a, "body"_a, "ndjson"_a = false, "idempotency_key"_a = "", "source_ip"_a = "", "user_id"_a = "",
          "traceparent"_a = "")
      .def(
          "prepare_broadcast",
          [](const OpenGateway& open, Text app, const py::bytes& body, Text key, Text source_ip, Text user_id,
             Text traceparent) {
            return OpenSubmission(open.share(), body, {}, [&](core::Gateway& gateway, auto text, auto) {
              return gateway.prepare_broadcast(app, text, {key, source_ip, user_id, traceparent});
            });
          },
          "app"_a, "body"_a, "idempotency_key"_a = "", "source_ip"_a = "", "user_id"_a = "", "traceparent"_a = "")
      .def(
          "append",
          [](const OpenGateway& open, OpenSubmission& submission) {
            const std::shared_ptr<core::Gateway> gateway = open.share();
            core::Submission& given = submission.get();
            const py::gil_scoped_release released;
            const core::Status status = gateway->append(given);
            const py::gil_scoped_acquire acquired;
            check(status);
          },
          "submission"_a)
      .def(
          "restore",
          [](const OpenGateway& open, const std::vector<StoredEvent>& events) {
            std::vector<core::Submission::Stored> stored;
            stored.reserve(events.size());
            for (const auto& [app, channel, id, time, key, event_hash, envelope] : events) {
              stored.push_back({app, channel, core::Ulid{}, time, core::IdempotencyKey({}, event_hash),
                                std::string(view_of(envelope))});
              copy_to(id, stored.back().id);
              copy_to(key, stored.back().key.key);
            }
            return OpenSubmission(open.share(), std::move(stored));
          },
          "events"_a);
}

core::Replica replica_of(const std::vector<py::bytes>& pages) {
  core::Replica whole;
  for (const py::bytes& bytes : pages) {
    auto page = core::Replica::parse(view_of(bytes));
    const bool follows = page && (whole.epoch == 0 || (page->epoch == whole.epoch && page->first == whole.last() + 1));
    if (!follows) raise({core::Code::invalid_parameter, "What is to be taken over is no replica of a channel."});
    if (whole.epoch == 0) {
      whole = *std::move(page);
    } else {
      whole.events.insert(whole.events.end(), page->events.begin(), page->events.end());
    }
  }
  if (whole.epoch == 0) raise({core::Code::invalid_parameter, "There is nothing to take over."});
  return whole;
}

void bind_replicas(py::class_<OpenGateway>& type) {
  using namespace py::literals;
  type.def(
          "holds",
          [](const OpenGateway& open, Text app, Text channel) {
            return value_or_raise(open.get().holds(app, channel));
          },
          "app"_a, "channel"_a)
      .def(
          "replicated",
          [](const OpenGateway& open, Text app, Text channel) {
            return state_of(app, value_or_raise(open.get().replicated(app, channel)));
          },
          "app"_a, "channel"_a)
      .def(
          "replicate",
          [](const OpenGateway& open, Text app, Text channel, const py::bytes& replica) {
            return value_or_raise(open.get().replicate(app, channel, replica_of({replica})));
          },
          "app"_a, "channel"_a, "replica"_a)
      .def(
          "replace",
          [](const OpenGateway& open, Text app, Text channel, Text seen, const std::vector<py::bytes>& replicas) {
            std::uint64_t epoch = 0;
            if (!core::parse_epoch(seen, epoch)) {
              raise({core::Code::invalid_parameter, "seen is no epoch of 16 hex digits."});
            }
            return value_or_raise(open.get().replace(app, channel, epoch, replica_of(replicas)));
          },
          "app"_a, "channel"_a, "seen"_a, "replicas"_a);
}

void bind_reading(py::class_<OpenGateway>& type) {
  using namespace py::literals;
  type.def(
          "history",
          [](const OpenGateway& open, Text app, Text channel, std::int64_t limit, std::optional<std::uint64_t> since,
             std::optional<std::uint64_t> until, bool reverse, Text epoch) {
            const auto request = request_of(limit, since, until, reverse, epoch);
            thread_local core::HistoryPage page;
            return to_bytes(value_or_raise(open.get().history(app, channel, request, page)));
          },
          "app"_a, "channel"_a, "limit"_a = 100, "since"_a = py::none(), "until"_a = py::none(), "reverse"_a = false,
          "epoch"_a = "")
      .def(
          "read",
          [](const OpenGateway& open, Text app, Text channel, std::optional<std::uint64_t> since, Text epoch,
             std::int64_t limit) {
            core::HistoryPage page;
            check(open.get().read(app, channel, request_of(limit, since, std::nullopt, false, epoch), page));
            return page_of(page);
          },
          "app"_a, "channel"_a, "since"_a = py::none(), "epoch"_a = "", "limit"_a = 100)
      .def(
          "forget",
          [](const OpenGateway& open, Text app, Text channel) {
            return core::epoch_text(
                value_or_raise(run(open, [&](core::Gateway& gateway) { return gateway.forget(app, channel); })));
          },
          "app"_a, "channel"_a)
      .def(
          "channel",
          [](const OpenGateway& open, Text app, Text channel) {
            return state_of(app, value_or_raise(open.get().channel(app, channel)));
          },
          "app"_a, "channel"_a)
      .def(
          "channels",
          [](const OpenGateway& open, Text app, Text after, std::size_t limit) {
            py::list found;
            for (const auto& state : value_or_raise(open.get().channels(app, after, limit)))
              found.append(state_of(app, state));
            return found;
          },
          "app"_a, "after"_a = "", "limit"_a = 100)
      .def("follow", [](OpenGateway& open) {
        if (open.feed_open()) raise({core::Code::storage_busy, "This gateway has a feed already; one at a time."});
        auto gateway = open.share();
        const std::shared_ptr<core::Feed> feed = value_or_raise(gateway->follow());
        feed->watch_all(false);
        open.remember(feed);
        return OpenFeed(std::move(gateway), feed);
      });
}

}  // namespace

void bind_gateway(py::module_& module) {
  using namespace py::literals;
  const core::GatewayOptions defaults;
  py::class_<OpenGateway> type(module, "Gateway");
  type.def(py::init(&open), "data_dir"_a, py::kw_only(), "history_size"_a = defaults.segment.history_size,
           "history_bytes"_a = defaults.segment.history_bytes, "max_channels"_a = defaults.segment.max_channels,
           "idempotency_keys"_a = defaults.segment.idempotency_keys, "durability"_a = "process")
      .def_static("inspect", &inspect, "data_dir"_a, py::kw_only(), "history_size"_a, "history_bytes"_a,
                  "max_channels"_a, "idempotency_keys"_a)
      .def(
          "configure",
          [](const OpenGateway& open, const core::Access& access, const core::Rules& rules,
             const std::optional<core::Limits>& limits) {
            open.get().configure(access, rules, limits.value_or(core::Limits()));
          },
          "access"_a, "rules"_a, "limits"_a = py::none())
      .def(
          "authorize",
          [](const OpenGateway& open, Text app, Text channel, Text key, Text scope) {
            check(open.get().authorize(app, channel, key, static_cast<core::Scope>(core::parse_scope(scope))));
          },
          "app"_a, "channel"_a, "key"_a, "scope"_a)
      .def(
          "rule", [](const OpenGateway& open, Text app, Text channel) { return open.get().rule(app, channel); },
          "app"_a, "channel"_a)
      .def(
          "max_event_bytes",
          [](const OpenGateway& open, Text app, Text channel) { return open.get().rule(app, channel).max_event_bytes; },
          "app"_a, "channel"_a)
      .def("notices", [](const OpenGateway& open) { return open.get().segment().notices(); })
      .def("close", &OpenGateway::close);
  bind_publishing(type);
  bind_preparing(type);
  bind_replicas(type);
  bind_reading(type);
  bind_columns(module, type);
  bind_use_of_limits(module, type);
  bind_figures(type);
}

}  // namespace polyglot::bindings
