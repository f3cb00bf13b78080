#include "bind_submission.hpp"

namespace polyglot::bindings {

void bind_submission(py::module_& module) {
  py::class_<OpenSubmission>(module, "Submission")
      .def("__len__", [](const OpenSubmission& open) { return open.get().appends().size(); })
      .def("ack",
           [](OpenSubmission& open) {
             if (open.get().appends().empty() && open.get().items().empty()) {
               throw py::index_error("the submission has no event");
             }
             check(open.get().outcome());
             const core::Append& append = open.get().appends().front();
             open.gateway().count(open.get());
             return ack_of(append.ack());
           })
      .def("results",
           [](OpenSubmission& open) {
             open.gateway().count(open.get());
             return to_bytes(open.get().results());
           })
      .def("refusals", [](OpenSubmission& open) {
        py::list refusals;
        for (std::size_t i = 0; i < open.get().appends().size(); ++i) {
          const core::Status& status = open.get().appends()[i].status;
          if (!status.ok()) refusals.append(py::make_tuple(i, core::code_info(status.code()).name, status.message()));
        }
        return refusals;
      });
}

}  // namespace polyglot::bindings
