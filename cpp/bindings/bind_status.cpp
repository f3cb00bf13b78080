#include <pybind11/stl.h>

#include <array>
#include <optional>
#include <string>

#include "bindings.hpp"
#include "core/channel.hpp"
#include "core/json.hpp"

namespace polyglot::bindings {
namespace {

// The class of each code, looked up once: every class of the exception tree that has its own `code`.
py::handle class_of(core::Code code) {
  static const std::array<py::handle, core::kCodeCount> classes = [] {
    std::array<py::handle, core::kCodeCount> found{};
    const py::module_ errors = py::module_::import("polyglot_gateway.errors");
    for (int i = 0; i < core::kCodeCount; ++i) {
      const auto name = core::code_info(static_cast<core::Code>(i)).name;
      found[static_cast<std::size_t>(i)] = errors.attr("InternalError");
      for (const auto item : errors.attr("__dict__").cast<py::dict>()) {
        const bool is_class = PyType_Check(item.second.ptr()) != 0;
        if (is_class && py::hasattr(item.second, "__dict__") && item.second.attr("__dict__").contains("code") &&
            item.second.attr("code").cast<std::string>() == name) {
          found[static_cast<std::size_t>(i)] = item.second;
        }
      }
    }
    for (const auto& kept : found) kept.inc_ref();
    return found;
  }();
  return classes[static_cast<std::size_t>(code)];
}

}  // namespace

core::Code code_named(const std::string& name) {
  for (int i = 1; i < core::kCodeCount; ++i) {
    if (core::code_info(static_cast<core::Code>(i)).name == name) return static_cast<core::Code>(i);
  }
  throw py::key_error(name);
}

void raise(const core::Status& status) {
  const py::object position = status.position() < 0 ? py::none() : py::object(py::int_(status.position()));
  const py::object error = class_of(status.code())(status.message(), position);
  if (status.retry_after() != 0) error.attr("retry_after") = status.retry_after();
  PyErr_SetObject(py::type::of(error).ptr(), error.ptr());
  throw py::error_already_set();
}

void bind_status(py::module_& module) {
  const py::object code_info = py::module_::import("collections")
                                   .attr("namedtuple")("CodeInfo", "name http_status title mend retry_after",
                                                       py::arg("module") = "polyglot_gateway._core");
  module.attr("CodeInfo") = code_info;
  py::dict codes;
  for (int i = 1; i < core::kCodeCount; ++i) {
    const core::CodeInfo& info = core::code_info(static_cast<core::Code>(i));
    codes[py::str(std::string(info.name))] = code_info(
        std::string(info.name), info.http_status, std::string(info.title), std::string(info.mend), info.retry_after);
  }
  module.attr("CODES") = codes;
  module.def(
      "problem_json",
      [](const std::string& code, const std::string& message, std::optional<std::int64_t> position,
         const std::string& request_id) {
        return py::bytes(
            core::problem_json(core::Status(code_named(code), message, position.value_or(-1)), request_id));
      },
      py::arg("code"), py::arg("message"), py::arg("position") = py::none(), py::arg("request_id") = "");
  module.def("check_app", [](Text app) { check(core::check_app(app)); }, py::arg("app"));
  module.def("check_channel", [](Text channel) { check(core::check_channel(channel)); }, py::arg("channel"));
  module.def(
      "check_pattern", [](Text pattern) { value_or_raise(core::ChannelPattern::parse(pattern)); }, py::arg("pattern"));
  module.def("check_json", [](const py::bytes& body) { check(core::check_json(view_of(body))); }, py::arg("body"));
}

}  // namespace polyglot::bindings
