// A core Submission that Python holds, with all that it is slices of.
//
// Everything here needs the GIL.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bind_gateway.hpp"

namespace polyglot::bindings {

class OpenSubmission {
 public:
  // `prepare(gateway, body, channel)` gives the submission; both texts stay where they are.
  template <typename Prepare>
  OpenSubmission(std::shared_ptr<core::Gateway> gateway, py::bytes body, std::string_view channel, Prepare prepare)
      : gateway_(std::move(gateway)),
        body_(std::move(body)),
        channel_(std::make_unique<std::string>(channel)),
        submission_(value_or_raise(prepare(*gateway_, view_of(body_), std::string_view(*channel_)))) {}

  OpenSubmission(std::shared_ptr<core::Gateway> gateway, std::vector<core::Submission::Stored> stored)
      : gateway_(std::move(gateway)), submission_(std::make_unique<core::Submission>(std::move(stored))) {}

  core::Gateway& gateway() const { return *gateway_; }
  core::Submission& get() const { return *submission_; }

 private:
  std::shared_ptr<core::Gateway> gateway_;
  py::bytes body_;
  std::unique_ptr<std::string> channel_;
  std::unique_ptr<core::Submission> submission_;
};

// Ack of polyglot_gateway.engine.base.
py::object ack_of(const core::Ack& ack);

}  // namespace polyglot::bindings
