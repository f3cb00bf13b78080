#include "bind_submission.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>

#include "core/epoch.hpp"
#include "core/hex.hpp"

namespace polyglot::bindings {
namespace {

std::string hex_of(std::uint64_t number) {
  std::string text(core::kHexLength, '\0');
  core::write_hex(number, text.data());
  return text;
}

std::string hex_of(const core::Ulid& id) {
  std::array<std::uint64_t, 2> halves{};
  for (std::size_t i = 0; i < id.size(); ++i) halves[i / 8] = halves[i / 8] << 8 | id[i];
  return hex_of(halves[0]) + hex_of(halves[1]);
}

core::Ulid id_of(std::string_view hex) {
  core::Ulid id{};
  if (hex.size() != 2 * id.size()) throw py::value_error("an id has 32 hex digits");
  for (std::size_t i = 0; i < id.size(); ++i) {
    const int high = core::hex_value(hex[2 * i]);
    const int low = core::hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) throw py::value_error("an id has 32 hex digits");
    id[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return id;
}

core::Append& append_at(core::Submission& submission, std::size_t index) {
  if (index >= submission.appends().size()) throw py::index_error("the submission has no such append");
  return submission.appends()[index];
}

py::list appends_of(const core::Submission& submission) {
  py::list appends(submission.appends().size());
  for (std::size_t i = 0; i < appends.size(); ++i) {
    const core::Append& append = submission.appends()[i];
    const bool keyed = append.key != nullptr;
    appends[i] = py::make_tuple(py::str(append.channel.data(), append.channel.size()),
                                py::bytes(append.envelope.data(), append.envelope.size()), append.time,
                                keyed ? hex_of(append.key->key[0]) + hex_of(append.key->key[1]) : std::string(),
                                keyed ? hex_of(append.key->event_hash) + ":" + hex_of(append.id) : std::string());
  }
  return appends;
}

void was_kept(core::Submission& submission, std::size_t index, std::uint64_t offset, std::uint64_t epoch) {
  core::Append& append = append_at(submission, index);
  append.offset = offset;
  append.epoch = epoch;
}

}  // namespace

void bind_submission(py::module_& module) {
  using namespace py::literals;
  py::class_<OpenSubmission>(module, "Submission")
      .def("appends", [](const OpenSubmission& open) { return appends_of(open.get()); })
      .def(
          "kept",
          [](OpenSubmission& open, std::size_t index, std::uint64_t offset, std::uint64_t epoch) {
            was_kept(open.get(), index, offset, epoch);
          },
          "index"_a, "offset"_a, "epoch"_a)
      .def(
          "replayed",
          [](OpenSubmission& open, std::size_t index, std::uint64_t offset, std::uint64_t epoch, std::string_view id,
             core::TimeUs time) {
            was_kept(open.get(), index, offset, epoch);
            core::Append& append = append_at(open.get(), index);
            append.id = id_of(id);
            append.time = time;
            append.replayed = true;
          },
          "index"_a, "offset"_a, "epoch"_a, "id"_a, "time"_a)
      .def(
          "refused",
          [](OpenSubmission& open, std::size_t index, const std::string& code, const std::string& message) {
            append_at(open.get(), index).status = core::Status(code_named(code), message);
          },
          "index"_a, "code"_a, "message"_a)
      .def("ack",
           [](OpenSubmission& open) {
             const core::Append& append = append_at(open.get(), 0);
             check(append.status);
             open.gateway().count(open.get());
             return ack_of({append.id, append.time, append.offset, append.epoch, append.replayed});
           })
      .def("results", [](OpenSubmission& open) {
        open.gateway().count(open.get());
        return to_bytes(open.get().results());
      });
}

}  // namespace polyglot::bindings
