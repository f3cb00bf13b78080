#include "core/process_call.hpp"

#include <string>

#include "core/json.hpp"

namespace polyglot::core {

void ProcessCall::replace(std::size_t event, std::string_view data) {
  const Event& one = events_[event];
  if (Status checked = check_json(data); !checked.ok()) {
    return reject(event, "what it gave in place of the data is not strict JSON. " + checked.message());
  }
  JsonCursor cursor(data);
  std::string_view value;
  cursor.value(value);
  const SentEvent& sent = one.item->event;
  const std::uint64_t bytes = kEventWrapping + sent.type.size() + value.size();
  if (bytes > one.max_bytes) {
    append_of(one).status = {Code::payload_too_large,
                             "With what the processor gave in place of its data the event has " +
                                 std::to_string(bytes) + " bytes; this channel allows " +
                                 std::to_string(one.max_bytes) + "."};
    return;
  }
  one.submission->replace_data(one.place, *one.item, value);
}

void ProcessCall::reject(std::size_t event, std::string_view reason) {
  std::string message = "The processor refused the event";
  message.append(reason.empty() ? "." : ": ").append(reason);
  append_of(events_[event]).status = {Code::event_rejected, std::move(message)};
}

void ProcessCall::fail(const Status& status) {
  for (const Event& event : events_) {
    if (!event.bypasses) append_of(event).status = status;
  }
}

void ProcessCall::finish() {
  for (Submission* submission : submissions_) submission->drop_refused();
}

}  // namespace polyglot::core
