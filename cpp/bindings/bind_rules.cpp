#include "bindings.hpp"
#include "core/rules.hpp"

namespace polyglot::bindings {

void bind_rules(py::module_& module) {
  py::class_<core::ChannelRule>(module, "ChannelRule")
      .def(
          py::init([](std::uint64_t history_size, double history_ttl, std::uint64_t max_event_bytes, bool public_read) {
            const auto ttl_us = static_cast<std::int64_t>(history_ttl * 1e6);
            return core::ChannelRule{history_size, ttl_us, max_event_bytes, public_read};
          }),
          py::kw_only(), py::arg("history_size") = 1000, py::arg("history_ttl") = 0.0,
          py::arg("max_event_bytes") = 65536, py::arg("public_read") = false);
  py::class_<core::Rules>(module, "Rules")
      .def(py::init<const core::ChannelRule&>(), py::arg("by_default"))
      .def(
          "add",
          [](core::Rules& rules, std::string_view app, std::string_view pattern, const core::ChannelRule& rule) {
            rules.add(app, value_or_raise(core::ChannelPattern::parse(pattern)), rule);
          },
          py::arg("app"), py::arg("pattern"), py::arg("rule"));
}

}  // namespace polyglot::bindings
