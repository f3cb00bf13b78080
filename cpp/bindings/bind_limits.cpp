#include <optional>
#include <string>

#include "bind_gateway.hpp"
#include "core/limits.hpp"

namespace polyglot::bindings {
namespace {

std::optional<core::TokenBucket> bucket_of(std::uint64_t rate, std::uint64_t burst) {
  if (rate == 0) return std::nullopt;
  if (burst == 0) burst = rate;
  if (rate > core::TokenBucket::kMaxRate || burst / rate > core::TokenBucket::kMaxBurstSeconds) {
    raise(
        {core::Code::invalid_parameter, "A rate is at most a billion per second, and a burst at most a day's worth."});
  }
  return core::TokenBucket(rate, burst);
}

}  // namespace

void bind_limits(py::module_& module) {
  py::class_<core::Limits>(module, "Limits")
      .def(py::init<>())
      .def(
          "add",
          [](core::Limits& limits, Text app, std::uint64_t events_per_second, std::uint64_t events_burst,
             std::uint64_t bytes_per_second, std::uint64_t bytes_burst, std::uint32_t connections,
             std::uint32_t subscriptions, std::uint32_t channels) {
            limits.add(app, {.events = bucket_of(events_per_second, events_burst),
                             .bytes = bucket_of(bytes_per_second, bytes_burst),
                             .connections = connections,
                             .subscriptions = subscriptions,
                             .channels = channels});
          },
          py::arg("app"), py::kw_only(), py::arg("events_per_second") = 0, py::arg("events_burst") = 0,
          py::arg("bytes_per_second") = 0, py::arg("bytes_burst") = 0, py::arg("connections") = 0,
          py::arg("subscriptions") = 0, py::arg("channels") = 0);
}

void bind_use_of_limits(py::module_& module, py::class_<OpenGateway>& gateway) {
  using namespace py::literals;
  py::class_<OpenHold>(module, "Hold").def("release", &OpenHold::release);
  gateway
      .def(
          "rate_limit",
          [](const OpenGateway& open, Text app) -> py::object {
            const auto limit = open.get().rate_limit(app);
            if (!limit) return py::none();
            return py::make_tuple(limit->policy, limit->state);
          },
          "app"_a)
      .def(
          "hold",
          [](const OpenGateway& open, Text app, Text quota) {
            for (const core::Quota one : {core::Quota::connections, core::Quota::subscriptions}) {
              if (core::quota_name(one) == quota)
                return OpenHold(open.share(), value_or_raise(open.get().hold(app, one)));
            }
            throw py::key_error(std::string(quota));
          },
          "app"_a, "quota"_a)
      .def(
          "limits",
          [](const OpenGateway& open, Text app) { return to_bytes(value_or_raise(open.get().limits_json(app))); },
          "app"_a);
}

}  // namespace polyglot::bindings
