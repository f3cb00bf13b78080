#include "server/publishing.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace polyglot::server {

using core::Status;

Publishing::Publishing(boost::asio::io_context& io, core::Gateway& gateway, Hub& hub, ProcessQueue& processing,
                       AppendQueue& appends, bool processes, bool elsewhere)
    : io_(io),
      gateway_(gateway),
      hub_(hub),
      processing_(processing),
      appends_(appends),
      processes_(processes),
      elsewhere_(elsewhere) {}

Status Publishing::push(OwnedSubmission owned, Done done) {
  ProcessQueue::Places places;
  if (processes_) places = processing_.places_of(*owned.submission);
  if (!places.empty()) {
    return processing_.push(std::move(owned), std::move(places), [this, done = std::move(done)](OwnedSubmission seen) {
      if (const Status status = keep(seen, done); !status.ok()) done(status, *seen.submission);
    });
  }
  if (elsewhere_) return keep(owned, done);
  boost::asio::post(io_, [this, owned = std::move(owned), done = std::move(done)]() mutable {
    static_cast<void>(keep(owned, done));
  });
  return {};
}

Status Publishing::keep(OwnedSubmission& owned, const Done& done) {
  if (elsewhere_ && !owned.submission->appends().empty()) return appends_.push(std::move(owned), done);
  hub_.before_publish();
  const Status status = gateway_.append(*owned.submission);
  hub_.after_publish();
  done(status, *owned.submission);
  return {};
}

}  // namespace polyglot::server
