// The figures of a gateway: what it has counted and timed, what there is at the moment, and how full it is.
#include <pybind11/stl.h>

#include <cmath>
#include <string>
#include <vector>

#include "bind_gateway.hpp"
#include "core/gateway.hpp"

namespace polyglot::bindings {
namespace {

using core::Counter;

py::dict counters_of(const core::Counters& counters) {
  py::dict totals;
  for (std::size_t i = 0; i < core::kNamedCounters; ++i) {
    const auto counter = static_cast<Counter>(i);
    totals[py::str(std::string(core::counter_name(counter)))] = counters.total(counter);
  }
  for (int i = 1; i < core::kCodeCount; ++i) {
    const auto code = static_cast<core::Code>(i);
    totals[py::str("refused." + std::string(core::code_info(code).name))] = counters.total_refused(code);
  }
  return totals;
}

py::tuple histogram_of(const core::Counters::Histogram& histogram) {
  std::vector<double> bounds;
  for (std::size_t i = 0; i + 1 < core::kBuckets; ++i) {
    bounds.push_back(static_cast<double>(core::Counters::bucket_end(i)) * 1e-9);
  }
  const std::vector<std::uint64_t> counts(histogram.counts.begin(), histogram.counts.end());
  return py::make_tuple(bounds, counts, static_cast<double>(histogram.sum_ns) * 1e-9);
}

// By app: the counters that are kept by app, in their order; "other" for those that have none of their own.
py::dict apps_of(core::Gateway& gateway) {
  const core::Counters& counters = gateway.counters();
  std::vector<std::string> names = gateway.apps().names();
  py::dict apps;
  const auto tell = [&](const std::string& name, std::size_t place) {
    py::dict totals;
    for (std::size_t i = 0; i < core::kAppCounters; ++i) {
      const auto counter = static_cast<Counter>(i);
      totals[py::str(std::string(core::counter_name(counter)))] = counters.total_app(place, counter);
    }
    apps[py::str(name)] = totals;
  };
  for (std::size_t place = 0; place < names.size(); ++place) tell(names[place], place);
  tell("", core::kMaxApps);
  return apps;
}

core::Gauge gauge_named(const std::string& name) {
  for (std::size_t i = 0; i < core::kNamedGauges; ++i) {
    if (core::gauge_name(static_cast<core::Gauge>(i)) == name) return static_cast<core::Gauge>(i);
  }
  throw py::key_error(name);
}

py::dict gauges_of(core::Gateway& gateway) {
  const core::Gauges::Totals totals = gateway.gauges().totals();
  py::dict told;
  for (std::size_t i = 0; i < core::kNamedGauges; ++i) {
    told[py::str(std::string(core::gauge_name(static_cast<core::Gauge>(i))))] = totals.sums[i];
  }
  told["workers"] = totals.workers;
  return told;
}

py::dict latencies_of(const core::Counters& counters) {
  py::dict latencies;
  for (std::size_t i = 0; i < core::kTimers; ++i) {
    const auto timer = static_cast<core::Timer>(i);
    latencies[py::str(std::string(core::timer_name(timer)))] = histogram_of(counters.total(timer));
  }
  return latencies;
}

core::Timer timer_named(const std::string& name) {
  for (std::size_t i = 0; i < core::kTimers; ++i) {
    if (core::timer_name(static_cast<core::Timer>(i)) == name) return static_cast<core::Timer>(i);
  }
  throw py::key_error(name);
}

py::dict fill_of(const core::Gateway& gateway) {
  const core::SegmentMap& map = gateway.segment().map();
  py::dict fill;
  fill["channels"] = gateway.stored().channels();
  fill["max_channels"] = map.geometry().max_channels;
  fill["log_bytes"] = map.geometry().log_bytes;
  fill["log_used"] = gateway.stored().log_used();
  fill["oldest"] = static_cast<double>(gateway.stored().oldest()) * 1e-6;
  fill["idempotency_keys"] = map.geometry().idempotency_slots;
  fill["workers"] = gateway.segment().workers();
  fill["file_bytes"] = core::SegmentParts(map.geometry()).end;
  return fill;
}

}  // namespace

void bind_figures(py::class_<OpenGateway>& type) {
  using namespace py::literals;
  type.def(
          "count_refused",
          [](const OpenGateway& open, const std::string& code) { open.get().counters().add_refused(code_named(code)); },
          "code"_a)
      .def(
          "count",
          [](const OpenGateway& open, const std::string& name, std::uint64_t n) {
            for (std::size_t i = core::kAppCounters; i < core::kNamedCounters; ++i) {
              const auto counter = static_cast<Counter>(i);
              if (core::counter_name(counter) == name) return open.get().counters().add(counter, n);
            }
            throw py::key_error(name);
          },
          "name"_a, "n"_a)
      .def("counters", [](const OpenGateway& open) { return counters_of(open.get().counters()); })
      .def("latencies", [](const OpenGateway& open) { return latencies_of(open.get().counters()); })
      .def("apps", [](const OpenGateway& open) { return apps_of(open.get()); })
      .def("gauges", [](const OpenGateway& open) { return gauges_of(open.get()); })
      .def(
          "set_gauge",
          [](const OpenGateway& open, const std::string& name, std::uint64_t value) {
            open.get().gauges().set(gauge_named(name), value);
          },
          "name"_a, "value"_a)
      .def(
          "count_time",
          [](const OpenGateway& open, const std::string& name, double seconds) {
            open.get().counters().add_time(timer_named(name), std::llround(seconds * 1e9));
          },
          "name"_a, "seconds"_a)
      .def(
          "count_response", [](const OpenGateway& open, int status) { open.get().counters().add_response(status); },
          "status"_a)
      .def(
          "count_delivered",
          [](const OpenGateway& open, Text app, std::uint64_t events, std::uint64_t bytes) {
            core::Gateway& gateway = open.get();
            const std::size_t place = gateway.apps().place(app);
            gateway.counters().add_app(place, Counter::deliveries, events);
            gateway.counters().add_app(place, Counter::delivery_bytes, bytes);
          },
          "app"_a, "events"_a, "bytes"_a)
      .def("segment", [](const OpenGateway& open) { return fill_of(open.get()); });
}

}  // namespace polyglot::bindings
