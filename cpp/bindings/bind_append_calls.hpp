// Core AppendCalls that Python holds, with the submissions whose events they append.
//
// Everything here needs the GIL.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "bind_gateway.hpp"
#include "core/append_calls.hpp"
#include "core/epoch.hpp"

namespace polyglot::bindings {

class OpenAppendCalls {
 public:
  // `finish` is called once, with what came of asking; the submissions live at least as long as it.
  using Finish = std::function<void(const core::Status&)>;
  OpenAppendCalls(std::shared_ptr<core::Gateway> gateway, const core::RedisLayout& layout,
                  const std::vector<core::Submission*>& submissions, Finish finish)
      : gateway_(std::move(gateway)),
        calls_(
            layout, submissions,
            [this](std::string_view app, std::string_view channel) -> const core::ChannelRule& {
              return gateway_->rule(app, channel);
            },
            core::new_epoch),
        finish_(std::move(finish)) {}
  ~OpenAppendCalls() { finish({core::Code::engine_unavailable, "Appending failed; the gateway's log says how."}); }
  OpenAppendCalls(const OpenAppendCalls&) = delete;
  OpenAppendCalls& operator=(const OpenAppendCalls&) = delete;

  core::AppendCalls& get() { return calls_; }
  void finish(const core::Status& status) {
    if (finish_) std::exchange(finish_, nullptr)(status);
  }

 private:
  std::shared_ptr<core::Gateway> gateway_;
  core::AppendCalls calls_;
  Finish finish_;
};

}  // namespace polyglot::bindings
