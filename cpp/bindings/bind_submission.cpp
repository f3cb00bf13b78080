#include "bind_submission.hpp"

namespace polyglot::bindings {

void bind_submission(py::module_& module) {
  py::class_<OpenSubmission>(module, "Submission")
      .def("ack",
           [](OpenSubmission& open) {
             if (open.get().appends().empty()) throw py::index_error("the submission has no event");
             const core::Append& append = open.get().appends().front();
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
