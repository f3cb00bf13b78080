// Core AppendCalls that Python holds, with the submissions whose events they append.
//
// Everything here needs the GIL.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
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
  // What came of sending them: the answers as they came, and why no more will come.
  struct Sent {
    std::string answers;
    std::string trouble;
  };
  OpenAppendCalls(std::shared_ptr<core::AppendCalls> calls, std::optional<Sent> sent, Finish finish)
      : calls_(std::move(calls)), sent_(std::move(sent)), finish_(std::move(finish)) {}
  ~OpenAppendCalls() { finish({core::Code::engine_unavailable, "Appending failed; the gateway's log says how."}); }
  OpenAppendCalls(const OpenAppendCalls&) = delete;
  OpenAppendCalls& operator=(const OpenAppendCalls&) = delete;

  core::AppendCalls& get() { return *calls_; }
  const std::optional<Sent>& sent() const { return sent_; }
  void finish(const core::Status& status) {
    if (finish_) std::exchange(finish_, nullptr)(status);
  }

 private:
  std::shared_ptr<core::AppendCalls> calls_;
  std::optional<Sent> sent_;
  Finish finish_;
};

inline std::shared_ptr<core::AppendCalls> append_calls_of(const core::Gateway& gateway, const core::RedisLayout& layout,
                                                          const std::vector<core::Submission*>& submissions) {
  return std::make_shared<core::AppendCalls>(
      layout, submissions,
      [&gateway](std::string_view app, std::string_view channel) -> const core::ChannelRule& {
        return gateway.rule(app, channel);
      },
      core::new_epoch);
}

}  // namespace polyglot::bindings
