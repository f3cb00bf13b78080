// A core ProcessCall that Python holds, with the submissions whose events it is about.
//
// Everything here needs the GIL.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "bindings.hpp"
#include "core/process_call.hpp"
#include "server/process_queue.hpp"

namespace polyglot::bindings {

class OpenProcessCall {
 public:
  // `finish` is called once, when the call is finished; the submissions live at least as long as it.
  OpenProcessCall(std::shared_ptr<core::ProcessCall> call, std::function<void()> finish,
                  std::optional<server::ProcessQueue::Answer> answer = {})
      : call_(std::move(call)), finish_(std::move(finish)), answer_(std::move(answer)) {}
  ~OpenProcessCall() {
    if (!finish_) return;
    call_->fail({core::Code::processor_unavailable, "Processing failed; the gateway's log says how."});
    finish();
  }
  OpenProcessCall(const OpenProcessCall&) = delete;
  OpenProcessCall& operator=(const OpenProcessCall&) = delete;

  // ValueError when it is finished: the submissions may be gone.
  core::ProcessCall& get() {
    if (!finish_) throw py::value_error("the call is finished");
    return *call_;
  }
  const std::optional<server::ProcessQueue::Answer>& answer() const { return answer_; }
  void finish() {
    if (!finish_) return;
    call_->finish();
    std::exchange(finish_, nullptr)();
  }

 private:
  std::shared_ptr<core::ProcessCall> call_;
  std::function<void()> finish_;
  std::optional<server::ProcessQueue::Answer> answer_;
};

}  // namespace polyglot::bindings
