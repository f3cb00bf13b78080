#include <string_view>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "core/process_messages.hpp"

namespace polyglot::bindings {
namespace {

constexpr const char* kBase = "polyglot_gateway.processor.base";

std::string_view text_of(PyObject* given) {
  Py_ssize_t size = 0;
  const char* const bytes = PyUnicode_AsUTF8AndSize(given, &size);  // which the text keeps
  if (bytes == nullptr) throw py::error_already_set();
  return {bytes, static_cast<std::size_t>(size)};
}

// Of polyglot_gateway.processor.base.Event. The views last as long as the event.
core::ProcessEvent event_of(const py::handle& given) {
  PyObject* const event = given.ptr();
  if (!PyTuple_Check(event) || PyTuple_GET_SIZE(event) != 9) throw py::type_error("an event is an Event");
  const auto text = [event](Py_ssize_t field) { return text_of(PyTuple_GET_ITEM(event, field)); };
  PyObject* const data = PyTuple_GET_ITEM(event, 4);
  if (!PyBytes_Check(data)) throw py::type_error("the data of an event are bytes");
  return {.id = text(0),
          .app = text(1),
          .channel = text(2),
          .type = text(3),
          .data = {PyBytes_AS_STRING(data), static_cast<std::size_t>(PyBytes_GET_SIZE(data))},
          .timestamp = text(5),
          .user_id = text(6),
          .source_ip = text(7),
          .traceparent = text(8)};
}

py::object verdict_of(const core::ProcessVerdict& verdict) {
  static const TupleType type("Verdict", kBase);
  static const py::handle accept = py::object(py::module_::import(kBase).attr("ACCEPT")).release();
  const auto text = [](std::string_view bytes) { return py::str(bytes.data(), bytes.size()); };
  switch (verdict.kind) {
    case core::VerdictKind::replace:
      return type(text("replace"), to_bytes(verdict.data), text(""));
    case core::VerdictKind::reject:
      return type(text("reject"), to_bytes(""), text(verdict.reason));
    case core::VerdictKind::accept:
      break;
  }
  return py::reinterpret_borrow<py::object>(accept);
}

py::bytes write_events(const py::sequence& given) {
  const py::tuple kept(given);  // whatever becomes of the sequence
  std::vector<core::ProcessEvent> events;
  events.reserve(kept.size());
  for (const py::handle event : kept) events.push_back(event_of(event));
  core::Buffer message;
  core::write_events(events, message);
  return to_bytes(message.text());
}

std::pair<py::list, py::list> read_verdicts(const py::bytes& message) {
  const auto verdicts = core::read_verdicts(view_of(message));
  if (!verdicts) throw py::value_error("these are no verdicts");
  std::pair<py::list, py::list> read{verdicts->size(), verdicts->size()};
  for (std::size_t i = 0; i < verdicts->size(); ++i) {
    const core::ProcessVerdict& verdict = (*verdicts)[i];
    read.first[i] = py::str(verdict.id.data(), verdict.id.size());
    read.second[i] = verdict_of(verdict);
  }
  return read;
}

}  // namespace

void bind_process_messages(py::module_& module) {
  using namespace py::literals;
  module.def("write_events", &write_events, "events"_a);
  module.def("read_verdicts", &read_verdicts, "message"_a);
}

}  // namespace polyglot::bindings
