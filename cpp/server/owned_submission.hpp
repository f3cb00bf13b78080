// OwnedSubmission: a submission with what it is slices of, on its way through the server.
//
// Thread safety: as a value.
#pragma once

#include <memory>
#include <string>

#include "core/submission.hpp"

namespace polyglot::server {

struct OwnedSubmission {
  std::unique_ptr<const std::string> texts;
  std::unique_ptr<core::Submission> submission;
};

}  // namespace polyglot::server
