#include <optional>

#include "bindings.hpp"
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
          [](core::Limits& limits, std::string_view app, std::uint64_t events_per_second, std::uint64_t events_burst,
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

}  // namespace polyglot::bindings
