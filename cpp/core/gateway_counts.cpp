// Gateway: what became of events, for the counters.
#include "core/gateway.hpp"

namespace polyglot::core {

void Gateway::count_published(std::string_view app, std::uint64_t events, std::uint64_t bytes) {
  const std::size_t place = apps_.place(app);
  counters_.add_app(place, Counter::publishes, events);
  counters_.add_app(place, Counter::publish_bytes, bytes);
}

void Gateway::count(const Submission& submission) {
  std::uint64_t published = 0;
  std::uint64_t bytes = 0;
  for (const Submission::Item& item : submission.items()) {
    if (!item.status.ok()) counters_.add_refused(item.status.code());
  }
  for (const Append& append : submission.appends()) {
    if (!append.status.ok()) {
      counters_.add_refused(append.status.code());
    } else if (append.replayed) {
      counters_.add(Counter::replays);
    } else {
      ++published;
      bytes += append.envelope.size();
      if (append.spooled) counters_.add(Counter::spooled);
    }
  }
  if (published != 0) count_published(submission.app(), published, bytes);
  counters_.add_time(Timer::publish, clock_() - submission.began_ns());
  refund(submission);
}

}  // namespace polyglot::core
