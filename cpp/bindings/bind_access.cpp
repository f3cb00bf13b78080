#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.hpp"
#include "core/access.hpp"

namespace polyglot::bindings {

void bind_access(py::module_& module) {
  py::class_<core::Access>(module, "Access")
      .def(py::init<bool>(), py::arg("development") = false)
      .def("add_app", &core::Access::add_app, py::arg("app"))
      .def(
          "add_key",
          [](core::Access& access, std::string_view app, std::string_view sha256,
             const std::vector<std::string>& scopes) {
            core::Digest digest{};
            if (!core::parse_digest(sha256, digest)) {
              raise({core::Code::invalid_parameter, "sha256 is not 64 hex digits."});
            }
            unsigned sum = 0;
            for (const std::string& scope : scopes) {
              const std::uint8_t bit = core::parse_scope(scope);
              if (bit == 0) {
                raise({core::Code::invalid_parameter,
                       "Scope \"" + scope + "\" is not known; allowed are publish, history, subscribe and admin."});
              }
              sum |= bit;
            }
            access.add_key(app, digest, static_cast<std::uint8_t>(sum));
          },
          py::arg("app"), py::arg("sha256"), py::arg("scopes"));
}

}  // namespace polyglot::bindings
