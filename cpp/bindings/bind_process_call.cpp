#include "bind_process_call.hpp"

#include <pybind11/stl.h>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "bind_submission.hpp"
#include "core/json_text.hpp"
#include "core/timestamp.hpp"

namespace polyglot::bindings {
namespace {

py::object event_of(const core::ProcessCall::Event& event) {
  static const TupleType type("Event", "polyglot_gateway.processor.base");
  const core::Append& append = event.append();
  const core::Submission& submission = *event.submission;
  char id[core::kEventIdLength];
  core::write_event_id(append.id, id);
  char time[core::kTimestampLength];
  core::write_timestamp(append.time, time);
  const core::SentEvent& sent = event.item->event;
  const auto text = [](const char* bytes, std::size_t size) { return py::str(bytes, size); };
  return type(text(id, sizeof(id)), py::str(submission.app()), py::str(std::string(event.item->channel)),
              py::str(core::unescape(sent.type)), to_bytes(sent.data), text(time, sizeof(time)),
              py::str(submission.user_id()), py::str(submission.source_ip()), py::str(submission.traceparent()));
}

// Of polyglot_gateway.processor.wire.Answer.
py::object answer_of(const server::ProcessQueue::Answer& given) {
  static const TupleType type("Answer", "polyglot_gateway.processor.wire");
  const double seconds = std::chrono::duration<double>(given.time).count();
  return type(given.way, given.admission, given.answer.status, given.answer.unseen, to_bytes(given.answer.text),
              seconds);
}

enum class Kind : std::uint8_t { accept, replace, reject };

struct Verdict {
  Kind kind;
  std::string_view text;  // the data, or the reason
};

std::string_view utf8(PyObject* text) {
  Py_ssize_t size = 0;
  const char* const bytes = PyUnicode_Check(text) ? PyUnicode_AsUTF8AndSize(text, &size) : nullptr;
  if (bytes == nullptr) {
    PyErr_Clear();
    throw py::type_error("the kind and the reason of a verdict are text");
  }
  return {bytes, static_cast<std::size_t>(size)};
}

// Of polyglot_gateway.processor.base.Verdict.
Verdict verdict_of(PyObject* given) {
  if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) != 3) throw py::type_error("a verdict is a Verdict");
  const std::string_view kind = utf8(PyTuple_GET_ITEM(given, 0));
  if (kind == "accept") return {Kind::accept, {}};
  if (kind == "reject") return {Kind::reject, utf8(PyTuple_GET_ITEM(given, 2))};
  PyObject* const data = PyTuple_GET_ITEM(given, 1);
  if (kind != "replace") throw py::value_error("a verdict is accept, replace or reject");
  if (!PyBytes_Check(data)) throw py::type_error("the data of a verdict are bytes");
  return {Kind::replace, {PyBytes_AS_STRING(data), static_cast<std::size_t>(PyBytes_GET_SIZE(data))}};
}

void judge(core::ProcessCall& call, const py::list& given) {
  if (given.size() != call.events().size()) throw py::value_error("there must be one verdict for each event");
  std::vector<Verdict> verdicts;  // all are right before the first is heeded
  verdicts.reserve(given.size());
  for (const py::handle& one : given) verdicts.push_back(verdict_of(one.ptr()));
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    if (verdicts[i].kind == Kind::replace) call.replace(i, verdicts[i].text);
    if (verdicts[i].kind == Kind::reject) call.reject(i, verdicts[i].text);
  }
}

}  // namespace

void bind_process_call(py::module_& module) {
  using namespace py::literals;
  py::class_<OpenProcessCall>(module, "ProcessCall")
      .def(py::init([](const OpenGateway& gateway, const py::list& submissions) {
             std::vector<core::Submission*> all;
             for (const auto& submission : submissions) all.push_back(&submission.cast<OpenSubmission&>().get());
             auto call = std::make_shared<core::ProcessCall>(
                 all,
                 [&core = gateway.get()](std::string_view app, std::string_view channel) -> const core::ChannelRule& {
                   return core.rule(app, channel);
                 });
             // Python's hold on the list is what keeps them.
             return std::make_unique<OpenProcessCall>(std::move(call), [kept = py::object(submissions)] {});
           }),
           "gateway"_a, "submissions"_a)
      .def_property_readonly("answer",
                             [](const OpenProcessCall& open) -> py::object {
                               if (!open.answer()) return py::none();
                               return answer_of(*open.answer());
                             })
      .def("events",
           [](OpenProcessCall& open) {
             const auto events = open.get().events();
             py::list list(events.size());
             for (std::size_t i = 0; i < events.size(); ++i) list[i] = event_of(events[i]);
             return list;
           })
      .def(
          "judge",
          [](OpenProcessCall& open, const py::list& verdicts) {
            judge(open.get(), verdicts);
            open.finish();
          },
          "verdicts"_a)
      .def(
          "fail",
          [](OpenProcessCall& open, const std::string& code, const std::string& message) {
            open.get().fail({code_named(code), message});
            open.finish();
          },
          "code"_a, "message"_a);
}

}  // namespace polyglot::bindings
