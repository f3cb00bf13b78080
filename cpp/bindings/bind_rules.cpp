#include "bindings.hpp"
#include "core/rules.hpp"

namespace polyglot::bindings {

void bind_rules(py::module_& module) {
  using core::ChannelRule;
  py::class_<ChannelRule>(module, "ChannelRule")
      .def(py::init([](std::uint64_t history_size, double history_ttl, std::uint64_t max_event_bytes, bool public_read,
                       bool client_publish, bool presence, bool conflate, bool processor, bool bypass_processor) {
             return ChannelRule{.history_size = history_size,
                                .history_ttl_us = static_cast<std::int64_t>(history_ttl * 1e6),
                                .max_event_bytes = max_event_bytes,
                                .public_read = public_read,
                                .client_publish = client_publish,
                                .presence = presence,
                                .conflate = conflate,
                                .processor = processor,
                                .bypass_processor = bypass_processor};
           }),
           py::kw_only(), py::arg("history_size") = 1000, py::arg("history_ttl") = 0.0,
           py::arg("max_event_bytes") = 65536, py::arg("public_read") = false, py::arg("client_publish") = false,
           py::arg("presence") = false, py::arg("conflate") = false, py::arg("processor") = true,
           py::arg("bypass_processor") = false)
      .def_readonly("history_size", &ChannelRule::history_size)
      .def_property_readonly("history_ttl",
                             [](const ChannelRule& rule) { return static_cast<double>(rule.history_ttl_us) * 1e-6; })
      .def_readonly("max_event_bytes", &ChannelRule::max_event_bytes)
      .def_readonly("public_read", &ChannelRule::public_read)
      .def_readonly("client_publish", &ChannelRule::client_publish)
      .def_readonly("presence", &ChannelRule::presence)
      .def_readonly("conflate", &ChannelRule::conflate)
      .def_readonly("processor", &ChannelRule::processor)
      .def_readonly("bypass_processor", &ChannelRule::bypass_processor);
  py::class_<core::Rules>(module, "Rules")
      .def(py::init<const ChannelRule&>(), py::arg("by_default"))
      .def(
          "add",
          [](core::Rules& rules, Text app, Text pattern, const ChannelRule& rule) {
            rules.add(app, value_or_raise(core::ChannelPattern::parse(pattern)), rule);
          },
          py::arg("app"), py::arg("pattern"), py::arg("rule"))
      // By value: rules that are added later move those that are there.
      .def(
          "find", [](const core::Rules& rules, Text app, Text channel) { return rules.find(app, channel); },
          py::arg("app"), py::arg("channel"));
}

}  // namespace polyglot::bindings
