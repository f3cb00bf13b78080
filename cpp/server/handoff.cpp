#include "server/handoff.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <charconv>
#include <ostream>  // Boost 1.74 forgets it
#include <system_error>

#include "server/clock.hpp"
#include "server/http_text.hpp"

namespace polyglot::server {
namespace {

constexpr std::int64_t kLogTime = 1000;  // milliseconds between lines of a kind

bool is_field_char(char c) {
  return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace

bool ApplicationReply::set_status(std::string_view text) {
  const bool begins = text.size() > 3 && text[3] == ' ' && text[0] >= '1' && text[0] <= '5';
  if (!begins || !std::all_of(text.begin(), text.end(), is_field_char)) return false;
  status = text;
  return std::from_chars(text.data(), text.data() + 3, code).ptr == text.data() + 3;
}

bool ApplicationReply::add_field(std::string_view name, std::string_view value) {
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_token_char) ||
      !std::all_of(value.begin(), value.end(), is_field_char)) {
    return false;
  }
  switch (name.size()) {
    case 4:
      if (equal_ignoring_case(name, "date")) return true;
      break;
    case 6:
      if (equal_ignoring_case(name, "server")) return true;
      break;
    case 10:
      if (!equal_ignoring_case(name, "connection")) break;
      closes |= equal_ignoring_case(value, "close");
      return true;
    case 14:
      has_length |= equal_ignoring_case(name, "content-length");
      break;
    case 17:
      if (equal_ignoring_case(name, "transfer-encoding")) return true;
      break;
    default:
      break;
  }
  fields.append(name).append(": ").append(value).append("\r\n");
  return true;
}

Handoff::Handoff(boost::asio::io_context& io) : io_(io), fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::system_category(), "eventfd");
}

Handoff::~Handoff() {
  close(fd_);
}

std::uint64_t Handoff::give(ApplicationRequest request, Reply reply) {
  const std::uint64_t id = ++last_id_;
  replies_.emplace(id, std::move(reply));
  push({id, std::move(request)});
  return id;
}

void Handoff::ask(std::variant<Question, Follow> what, Decide decide) {
  const std::uint64_t id = ++last_id_;
  decisions_.emplace(id, std::move(decide));
  std::visit([&](auto& content) { push({id, std::move(content)}); }, what);
}

void Handoff::log(LogLine line) {
  Held& held = held_[line.event + '/' + line.code];
  held.last = std::move(line);
  ++held.lines;
  if (clock_ms() >= held.until) write(held);
}

void Handoff::log_held_back() {
  const std::int64_t now = clock_ms();
  for (auto& [kind, held] : held_) {
    if (held.lines != 0 && now >= held.until) write(held);
  }
}

void Handoff::write(Held& held) {
  held.until = clock_ms() + kLogTime;
  held.last.held_back = std::exchange(held.lines, 0) - 1;
  push({0, std::exchange(held.last, {})});
}

void Handoff::push(HandoffJob job) {
  bool first = false;
  {
    const std::lock_guard guard(mutex_);
    first = jobs_.empty();
    jobs_.push_back(std::move(job));
  }
  // A queue that was not empty has its signal on the way.
  if (first) static_cast<void>(eventfd_write(fd_, 1));
}

std::vector<HandoffJob> Handoff::take() {
  eventfd_t signals = 0;
  static_cast<void>(eventfd_read(fd_, &signals));  // before the queue is emptied: what comes later signals again
  std::vector<HandoffJob> taken;
  const std::lock_guard guard(mutex_);
  taken.swap(jobs_);
  return taken;
}

void Handoff::reply(std::uint64_t id, ApplicationReply part) {
  boost::asio::post(io_, [this, id, part = std::move(part)]() mutable {
    const auto found = replies_.find(id);
    if (found == replies_.end()) {
      // It may be about to wait for room.
      if (part.part != ApplicationReply::Part::whole) push({id, Gone{}});
      return;
    }
    using Part = ApplicationReply::Part;
    const bool last = part.part == Part::whole || part.part == Part::end || part.part == Part::abort;
    const Reply reply = last ? std::move(found->second) : found->second;
    if (last) replies_.erase(found);
    reply(part);
  });
}

void Handoff::decide(std::uint64_t id, Verdict verdict) {
  boost::asio::post(io_, [this, id, verdict = std::move(verdict)] {
    const auto found = decisions_.find(id);
    if (found == decisions_.end()) return;
    const Decide decide = std::move(found->second);
    decisions_.erase(found);
    decide(verdict);
  });
}

}  // namespace polyglot::server
