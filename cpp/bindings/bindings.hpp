// What the binding files share: one function per concept, and the one way from a core Status to a Python exception.
//
// Everything here needs the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/access.hpp"
#include "core/status.hpp"

namespace polyglot::bindings {

namespace py = pybind11;

void bind_access(py::module_& module);
void bind_append_calls(py::module_& module);
void bind_feed(py::module_& module);
void bind_gateway(py::module_& module);
void bind_grant(py::module_& module);
void bind_process_call(py::module_& module);
void bind_process_messages(py::module_& module);
void bind_rules(py::module_& module);
void bind_server(py::module_& module);
void bind_status(py::module_& module);
void bind_submission(py::module_& module);
void bind_limits(py::module_& module);

// The scope of this name, and the sum of several. InvalidParameter when there is none.
core::Scope scope_named(std::string_view name);
std::uint8_t scopes_named(const std::vector<std::string>& names);

// The code of this name. KeyError when there is none.
core::Code code_named(const std::string& name);

// Raises the class of polyglot_gateway.errors whose `code` is the status's. REQUIRES: !status.ok().
[[noreturn]] void raise(const core::Status& status);
inline void check(const core::Status& status) {
  if (!status.ok()) raise(status);
}
template <typename T>
T value_or_raise(core::Result<T>&& result) {
  if (!result.ok()) raise(result.status());
  return std::move(result).value();
}

inline std::string_view view_of(const py::bytes& bytes) {
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}
inline py::bytes to_bytes(std::string_view text) {
  return py::bytes(text.data(), text.size());
}

// An argument that is text in UTF-8, as a str or bytes of Python's; valid as long as the caller holds that. pybind11's
// own caster of a string_view remembers each argument in a hash table, to keep alive what it may have made for it.
struct Text : std::string_view {
  using std::string_view::string_view;
};

// A NamedTuple of a module of Python's, made without calling its Python constructor.
class TupleType {
 public:
  explicit TupleType(const char* name, const char* module = "polyglot_gateway.engine.base")
      : type_(py::object(py::module_::import(module).attr(name)).release()) {}
  template <typename... Values>
  py::object operator()(Values&&... values) const {
    auto* type = reinterpret_cast<PyTypeObject*>(type_.ptr());
    py::object made = py::reinterpret_steal<py::object>(type->tp_alloc(type, sizeof...(values)));
    if (!made) throw py::error_already_set();
    Py_ssize_t at = 0;
    (PyTuple_SET_ITEM(made.ptr(), at++, as_object(std::forward<Values>(values)).release().ptr()), ...);
    return made;
  }

 private:
  static py::object as_object(py::object object) { return object; }
  template <typename Value>
  static py::object as_object(Value&& value)
    requires(!std::is_base_of_v<py::object, std::remove_cvref_t<Value>>)
  {
    return py::cast(std::forward<Value>(value));
  }

  py::handle type_;  // kept for the life of the process
};

}  // namespace polyglot::bindings

template <>
struct pybind11::detail::type_caster<polyglot::bindings::Text> {
  PYBIND11_TYPE_CASTER(polyglot::bindings::Text, const_name("str"));

  bool load(handle given, bool /*convert*/) {
    if (PyBytes_Check(given.ptr())) {
      value = {PyBytes_AS_STRING(given.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(given.ptr()))};
      return true;
    }
    if (!PyUnicode_Check(given.ptr())) return false;
    Py_ssize_t size = 0;
    const char* const text = PyUnicode_AsUTF8AndSize(given.ptr(), &size);
    if (text == nullptr) {
      PyErr_Clear();  // lone surrogates: then it is no text
      return false;
    }
    value = {text, static_cast<std::size_t>(size)};
    return true;
  }
};
