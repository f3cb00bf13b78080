#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.hpp"
#include "core/access.hpp"

namespace polyglot::bindings {

core::Scope scope_named(std::string_view name) {
  const std::uint8_t scope = core::parse_scope(name);
  if (scope == 0) {
    raise({core::Code::invalid_parameter,
           "Scope \"" + std::string(name) +
               "\" is not known; allowed are publish, history, subscribe, admin and presence."});
  }
  return static_cast<core::Scope>(scope);
}

std::uint8_t scopes_named(const std::vector<std::string>& names) {
  std::uint8_t sum = 0;
  for (const std::string& name : names) sum |= scope_named(name);
  return sum;
}

void bind_access(py::module_& module) {
  py::class_<core::Access>(module, "Access")
      .def(py::init<bool>(), py::arg("development") = false)
      .def("add_app", &core::Access::add_app, py::arg("app"))
      .def(
          "add_key",
          [](core::Access& access, Text app, Text sha256, const std::vector<std::string>& scopes,
             std::int64_t expires_at) {
            core::Digest digest{};
            if (!core::parse_digest(sha256, digest)) {
              raise({core::Code::invalid_parameter, "sha256 is not 64 hex digits."});
            }
            access.add_key(app, digest, scopes_named(scopes), expires_at);
          },
          py::arg("app"), py::arg("sha256"), py::arg("scopes"), py::arg("expires_at") = 0);
}

}  // namespace polyglot::bindings
