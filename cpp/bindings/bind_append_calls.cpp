#include "bind_append_calls.hpp"

#include <pybind11/stl.h>

#include <charconv>
#include <cstring>

#include "bind_submission.hpp"

namespace polyglot::bindings {
namespace {

[[noreturn]] void refuse_answer() {
  throw py::value_error("Redis answered what the function append does not answer");
}

std::string_view text_of(const py::handle& answer) {
  if (!PyBytes_Check(answer.ptr())) refuse_answer();
  return view_of(py::reinterpret_borrow<py::bytes>(answer));
}

// {epoch, for each entry: the offset of its first event, or what was remembered, or '' when another event was}
void settle(core::AppendCalls& calls, std::size_t call, const py::list& answer) {
  if (call >= calls.size() || answer.size() != calls.entries(call) + 1) refuse_answer();
  const std::string_view digits = text_of(answer[0]);
  std::uint64_t epoch = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), epoch).ec != std::errc()) refuse_answer();
  for (std::size_t entry = 0; entry < calls.entries(call); ++entry) {
    const py::handle outcome = PyList_GET_ITEM(answer.ptr(), static_cast<Py_ssize_t>(entry + 1));
    if (PyLong_Check(outcome.ptr())) {
      calls.kept(call, entry, outcome.cast<std::uint64_t>(), epoch);
    } else if (const std::string_view remembered = text_of(outcome); remembered.empty()) {
      calls.mismatched(call, entry);
    } else if (!calls.replayed(call, entry, remembered)) {
      refuse_answer();
    }
  }
}

core::Append& event_of(OpenAppendCalls& open, std::size_t call, std::size_t event) {
  if (call >= open.get().size() || event >= open.get().events(call).size()) {
    throw py::index_error("there is no such event");
  }
  return *open.get().events(call)[event];
}

template <typename Array>
py::bytes bytes_of(const Array& array) {
  return {reinterpret_cast<const char*>(array.data()), sizeof(array)};
}

}  // namespace

void bind_append_calls(py::module_& module) {
  using namespace py::literals;
  module.def(
      "replica_events",
      [](const py::bytes& bytes) {
        const auto replica = core::Replica::parse(view_of(bytes));
        if (!replica) throw py::value_error("Redis answered what is no replica of a channel");
        py::list events(replica->events.size());
        std::string envelope;
        for (std::size_t i = 0; i < events.size(); ++i) {
          char ending[core::kMaxOffsetLength];
          const std::uint64_t offset = replica->first + i;
          envelope.assign(replica->events[i].envelope).append(ending, core::write_offset(offset, ending));
          events[i] = py::make_tuple(offset, to_bytes(envelope));
        }
        return events;
      },
      "replica"_a);
  py::class_<core::RedisLayout>(module, "RedisLayout")
      .def(py::init([](std::string prefix, std::string function, std::uint64_t history_size, std::int64_t keep_ms) {
             return core::RedisLayout{std::move(prefix), std::move(function), history_size, keep_ms};
           }),
           py::kw_only(), "prefix"_a, "function"_a, "history_size"_a, "keep_ms"_a)
      .def_readonly("history_size", &core::RedisLayout::history_size)
      .def(
          "lifetime_ms",
          [](const core::RedisLayout& layout, const OpenGateway& gateway, Text app, Text channel) {
            return layout.lifetime_ms(gateway.get().rule(app, channel));
          },
          "gateway"_a, "app"_a, "channel"_a);
  py::class_<OpenAppendCalls>(module, "AppendCalls")
      .def(py::init([](const OpenGateway& gateway, const core::RedisLayout& layout, const py::list& submissions) {
             std::vector<core::Submission*> all;
             for (const auto& submission : submissions) all.push_back(&submission.cast<OpenSubmission&>().get());
             // Python's hold on the list is what keeps them.
             return std::make_unique<OpenAppendCalls>(append_calls_of(gateway.get(), layout, all), std::nullopt,
                                                      [kept = py::object(submissions)](const core::Status&) {});
           }),
           "gateway"_a, "layout"_a, "submissions"_a)
      .def("__len__", [](OpenAppendCalls& open) { return open.get().event_count(); })
      .def("traceparents", [](OpenAppendCalls& open) { return open.get().traceparents(); })
      .def("commands",
           [](OpenAppendCalls& open) {
             const core::AppendCalls& calls = open.get();
             py::list commands(calls.size());
             for (std::size_t i = 0; i < calls.size(); ++i) {
               commands[i] = py::make_tuple(calls.stream(i), to_bytes(calls.command(i)));
             }
             return commands;
           })
      .def("channels",
           [](OpenAppendCalls& open) {
             const core::AppendCalls& calls = open.get();
             py::list channels(calls.size());
             for (std::size_t i = 0; i < calls.size(); ++i) {
               channels[i] = py::make_tuple(calls.app(i), calls.channel(i));
             }
             return channels;
           })
      .def("sent",
           [](const OpenAppendCalls& open) -> py::object {
             if (!open.sent()) return py::none();
             return py::make_tuple(to_bytes(open.sent()->answers), open.sent()->trouble);
           })
      .def(
          "settle",
          [](OpenAppendCalls& open, std::size_t call, const py::list& answer) { settle(open.get(), call, answer); },
          "call"_a, "answer"_a)
      .def(
          "refuse",
          [](OpenAppendCalls& open, std::size_t call, const std::string& code, const std::string& message) {
            if (call >= open.get().size()) throw py::index_error("there is no such call");
            open.get().refused(call, core::Status(code_named(code), message));
          },
          "call"_a, "code"_a, "message"_a)
      .def(
          "events",
          [](OpenAppendCalls& open, std::size_t call) {
            if (call >= open.get().size()) throw py::index_error("there is no such call");
            py::list events;
            for (const core::Append* append : open.get().events(call)) {
              const bool keyed = append->key != nullptr;
              events.append(py::make_tuple(
                  bytes_of(append->id), append->time, keyed ? bytes_of(append->key->key) : py::bytes(),
                  keyed ? append->key->event_hash : 0, to_bytes({append->envelope.data(), append->envelope.size()})));
            }
            return events;
          },
          "call"_a)
      .def(
          "spooled",
          [](OpenAppendCalls& open, std::size_t call, std::size_t event) {
            core::AppendCalls::spooled(event_of(open, call, event));
          },
          "call"_a, "event"_a)
      .def(
          "repeated",
          [](OpenAppendCalls& open, std::size_t call, std::size_t event, const py::bytes& id, std::int64_t time,
             std::uint64_t event_hash) {
            core::Ulid ulid;
            if (view_of(id).size() != ulid.size()) throw py::value_error("an id has 16 bytes");
            std::memcpy(ulid.data(), view_of(id).data(), ulid.size());
            core::AppendCalls::repeated(event_of(open, call, event), ulid, time, event_hash);
          },
          "call"_a, "event"_a, "id"_a, "time"_a, "event_hash"_a)
      .def(
          "refuse_event",
          [](OpenAppendCalls& open, std::size_t call, std::size_t event, const std::string& code,
             const std::string& message) {
            event_of(open, call, event).status = core::Status(code_named(code), message);
          },
          "call"_a, "event"_a, "code"_a, "message"_a)
      .def("finish", [](OpenAppendCalls& open) { open.finish(core::Status()); })
      .def(
          "fail",
          [](OpenAppendCalls& open, const std::string& code, const std::string& message) {
            open.finish(core::Status(code_named(code), message));
          },
          "code"_a, "message"_a);
}

}  // namespace polyglot::bindings
