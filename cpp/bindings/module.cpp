// polyglot_gateway._core: a table of contents. Python's view of it is python/polyglot_gateway/_core.pyi.
#include "bindings.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The event core of Polyglot Gateway.";
  module.attr("__version__") = POLYGLOT_VERSION;
  // What later look-ups import is then loaded already, and they run no Python code at a bad moment.
  pybind11::module_::import("polyglot_gateway.errors");
  pybind11::module_::import("polyglot_gateway.engine.base");
  polyglot::bindings::bind_status(module);
  polyglot::bindings::bind_access(module);
  polyglot::bindings::bind_grant(module);
  polyglot::bindings::bind_rules(module);
  polyglot::bindings::bind_limits(module);
  polyglot::bindings::bind_feed(module);
  polyglot::bindings::bind_gateway(module);
  polyglot::bindings::bind_submission(module);
  polyglot::bindings::bind_append_calls(module);
  polyglot::bindings::bind_process_call(module);
  polyglot::bindings::bind_process_messages(module);
  polyglot::bindings::bind_server(module);
}
