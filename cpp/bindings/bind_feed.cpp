#include <pybind11/stl.h>

#include <string_view>

#include "bind_gateway.hpp"
#include "bindings.hpp"
#include "core/feed.hpp"

namespace polyglot::bindings {

void bind_feed(py::module_& module) {
  using namespace py::literals;
  py::class_<OpenFeed>(module, "Feed")
      .def("fileno", [](OpenFeed& feed) { return feed.get().fd(); })
      .def(
          "watch", [](OpenFeed& feed, Text app, Text channel) { feed.get().watch(app, channel); }, "app"_a, "channel"_a)
      .def(
          "unwatch", [](OpenFeed& feed, Text app, Text channel) { feed.get().unwatch(app, channel); }, "app"_a,
          "channel"_a)
      .def("poll", [](OpenFeed& feed) {
        const core::FeedNews news = feed.get().poll();
        return py::make_tuple(news.channels, news.overrun);
      });
}

}  // namespace polyglot::bindings
