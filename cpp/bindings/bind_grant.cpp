#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings.hpp"
#include "core/gateway.hpp"
#include "core/grant.hpp"

namespace polyglot::bindings {

void bind_grant(py::module_& module) {
  using namespace py::literals;
  py::class_<core::Grant, std::shared_ptr<core::Grant>>(module, "Grant")
      .def(py::init<std::string, std::string, std::int64_t>(), "app"_a, "user_id"_a = "", "expires_at"_a = 0)
      .def(
          "allow",
          [](core::Grant& grant, Text pattern, const std::vector<std::string>& scopes) {
            grant.allow(value_or_raise(core::ChannelPattern::parse(pattern)), scopes_named(scopes));
          },
          "pattern"_a, "scopes"_a)
      .def(
          "check",
          [](const core::Grant& grant, Text app, Text channel, Text scope, std::optional<std::int64_t> now) {
            const std::int64_t now_s = now ? *now : core::system_time_ns() / 1'000'000'000;
            check(grant.check(app, channel, scope_named(scope), now_s));
          },
          "app"_a, "channel"_a, "scope"_a, "now"_a = py::none())
      .def_property_readonly("app", &core::Grant::app)
      .def_property_readonly("user_id", &core::Grant::user_id)
      .def_property_readonly("expires_at", &core::Grant::expires_at);
}

}  // namespace polyglot::bindings
