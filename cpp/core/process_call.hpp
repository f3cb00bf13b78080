// ProcessCall: the events of submissions that a processor sees before they are kept (processor/base.py), and what
// becomes of them by its verdicts.
//
// Those of channels whose rule wants no processor are left as they are.
//
// Thread safety: of an object, one thread at a time.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "core/rules.hpp"
#include "core/submission.hpp"

namespace polyglot::core {

class ProcessCall {
 public:
  // `rule_of(app, channel)` gives a rule. The submissions have to live as long as this.
  template <typename RuleOf>
  ProcessCall(std::span<Submission* const> submissions, RuleOf rule_of)
      : submissions_(submissions.begin(), submissions.end()) {
    for (Submission* submission : submissions) {
      std::size_t place = 0;
      for (const Submission::Item& item : submission->items()) {
        if (!item.status.ok()) continue;
        const ChannelRule& rule = rule_of(submission->app(), item.channel);
        if (rule.processor) events_.push_back({submission, &item, place, rule.max_event_bytes, rule.bypass_processor});
        ++place;
      }
    }
  }

  struct Event {
    Submission* submission;
    const Submission::Item* item;
    std::size_t place;  // of its append
    std::uint64_t max_bytes;
    bool bypasses;

    const Append& append() const { return submission->appends()[place]; }
  };
  // What stands in them is as it was sent.
  std::span<const Event> events() const { return events_; }

  // Keep the event with these data, if they could have been sent: strict JSON, and not too large for the channel.
  void replace(std::size_t event, std::string_view data);
  // Do not keep it: event_rejected.
  void reject(std::size_t event, std::string_view reason);
  // There are no verdicts: refuses all, but for those whose rule lets them bypass the processor.
  void fail(const Status& status);
  // All verdicts are given; takes what is refused out of the submissions.
  void finish();

 private:
  Append& append_of(const Event& event) { return event.submission->appends()[event.place]; }

  std::vector<Submission*> submissions_;
  std::vector<Event> events_;
};

}  // namespace polyglot::core
