// Columns as NumPy arrays, which own the memory that the core filled.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bind_gateway.hpp"
#include "core/columns.hpp"
#include "core/epoch.hpp"
#include "core/replica.hpp"

namespace polyglot::bindings {
namespace {

using Fields = std::vector<std::string>;

template <typename T>
py::array_t<T> array_of(std::vector<T>&& values) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  const py::capsule owner(owned.get(), [](void* vector) { delete static_cast<std::vector<T>*>(vector); });
  const std::vector<T>& kept = *owned.release();
  return py::array_t<T>(static_cast<py::ssize_t>(kept.size()), kept.data(), owner);
}

py::object columns_of(std::string_view app, std::string_view channel, const Fields& fields, core::Columns&& columns) {
  static const TupleType type("Columns");
  py::dict numbers;
  for (std::size_t i = 0; i < fields.size(); ++i) numbers[py::str(fields[i])] = array_of(std::move(columns.fields[i]));
  return type(app, channel, core::epoch_text(columns.epoch), columns.begin, columns.read_at,
              array_of(std::move(columns.offsets)), array_of(std::move(columns.times)),
              array_of(std::move(columns.sizes)), numbers);
}

py::object gateway_columns(const OpenGateway& open, Text app, Text channel, const Fields& fields, double window) {
  const auto request = value_or_raise(core::ColumnsRequest::parse(fields, window));
  const auto gateway = open.share();  // close() may come meanwhile
  auto columns = [&] {
    const py::gil_scoped_release released;
    return gateway->columns(app, channel, request);
  }();
  return columns_of(app, channel, fields, value_or_raise(std::move(columns)));
}

py::object replica_columns(Text app, Text channel, const Fields& fields, const std::vector<py::bytes>& replicas,
                           bool overwritten, core::TimeUs not_before, core::TimeUs read_at) {
  const auto request = value_or_raise(core::ColumnsRequest::parse(fields, 0));
  std::vector<std::string_view> pages;
  pages.reserve(replicas.size());
  for (const py::bytes& bytes : replicas) pages.push_back(view_of(bytes));
  core::Columns columns(fields.size());
  columns.read_at = read_at;
  bool right = true;
  {
    const py::gil_scoped_release released;
    for (const std::string_view page : pages) {
      const auto replica = core::Replica::parse(page);
      right = right && replica;
      if (!right) break;
      columns.epoch = replica->epoch;
      std::uint64_t offset = replica->first;
      for (const core::Replica::Event& event : replica->events) {
        char ending[core::kMaxOffsetLength];
        const std::size_t size = event.envelope.size() + core::write_offset(offset, ending);
        columns.add(app, channel, request.fields, offset++, event.time, event.envelope, size);
      }
    }
  }
  if (!right) throw py::value_error("Redis answered what is no replica of a channel");
  columns.end(overwritten ? core::GapReason::overwritten : core::GapReason::none, not_before);
  return columns_of(app, channel, fields, std::move(columns));
}

}  // namespace

void bind_columns(py::module_& module, py::class_<OpenGateway>& gateway) {
  using namespace py::literals;
  gateway.def("columns", &gateway_columns, "app"_a, "channel"_a, "fields"_a = Fields(), "window"_a = 0.0);
  module.def("replica_columns", &replica_columns, "app"_a, "channel"_a, "fields"_a, "replicas"_a, py::kw_only(),
             "overwritten"_a, "not_before"_a, "read_at"_a);
  module.def(
      "check_columns",
      [](const Fields& fields, double window) {
        static_cast<void>(value_or_raise(core::ColumnsRequest::parse(fields, window)));
      },
      "fields"_a, "window"_a = 0.0);
}

}  // namespace polyglot::bindings
