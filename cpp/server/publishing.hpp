// Publishing: the way of events whose acknowledgement cannot be given at once, because a processor sees them first, or
// because they are kept elsewhere.
//
// Thread safety: the server's thread alone.
#pragma once

#include "server/append_queue.hpp"
#include "server/hub.hpp"
#include "server/process_queue.hpp"

namespace polyglot::server {

class Publishing {
 public:
  // Ok: what became of each event stands in the submission. Else nothing is known of any.
  using Done = AppendQueue::Done;

  // `processes`: there is a processor; `elsewhere`: the engine is.
  Publishing(boost::asio::io_context& io, core::Gateway& gateway, Hub& hub, ProcessQueue& processing,
             AppendQueue& appends, bool processes, bool elsewhere);

  // Whether events go this way; else the gateway publishes them at once. `channel` is empty for several of them.
  bool is_needed(std::string_view app, std::string_view channel) const {
    return elsewhere_ || (processes_ && (channel.empty() || gateway_.rule(app, channel).processor));
  }
  // Not ok: nothing was done, and `done` is not called. Else it is called later, never from within.
  core::Status push(OwnedSubmission owned, Done done);

 private:
  core::Status keep(OwnedSubmission& owned, const Done& done);

  boost::asio::io_context& io_;
  core::Gateway& gateway_;
  Hub& hub_;
  ProcessQueue& processing_;
  AppendQueue& appends_;
  const bool processes_;
  const bool elsewhere_;
};

}  // namespace polyglot::server
