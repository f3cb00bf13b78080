#include <pybind11/stl.h>

#include "bind_gateway.hpp"
#include "bindings.hpp"
#include "core/feed.hpp"

namespace polyglot::bindings {

void bind_feed(py::module_& module) {
  py::class_<OpenFeed>(module, "Feed")
      .def("fileno", [](OpenFeed& feed) { return feed.get().fd(); })
      .def("poll", [](OpenFeed& feed) {
        const core::FeedNews news = feed.get().poll();
        return py::make_tuple(news.channels, news.overrun);
      });
}

}  // namespace polyglot::bindings
