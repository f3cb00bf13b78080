#include "publisher.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <stdexcept>

#include "clock.hpp"

namespace polyglot::load {
namespace {

// The value of Content-Length in the head of an answer; 0 if it has none.
std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const auto* found = std::search(head.begin(), head.end(), kName.begin(), kName.end(), same);
  if (found == head.end()) return 0;
  const auto* digits = std::find_if_not(found + kName.size(), head.end(), [](char c) { return c == ' '; });
  std::size_t length = 0;
  std::from_chars(digits, head.end(), length);
  return length;
}

// The bytes of the first answer in `input`; 0 when it is not whole yet.
std::size_t answer_length(std::string_view input) {
  const std::size_t head = input.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  const std::size_t whole = head + 4 + content_length(input.substr(0, head));
  return whole <= input.size() ? whole : 0;
}

}  // namespace

Publisher::Publisher(const Options& options)
    : connection_(options.host, options.publish_port), request_(publish_request(options)) {}

void Publisher::flush() {
  connection_.flush();
}

void Publisher::publish(std::size_t requests, std::uint64_t sent) {
  burst_.clear();
  for (std::size_t i = 0; i < requests; ++i) {
    for (const std::size_t at : request_.stamps) {
      write_stamp(request_.bytes.data() + at, {.sequence = ++published_, .sent = sent});
    }
    burst_ += request_.bytes;
    sent_.push_back(sent);
  }
  connection_.send(burst_);
}

void Publisher::receive(Buffer& buffer) {
  std::string_view input = connection_.read(buffer);
  if (connection_.closed()) throw std::runtime_error("the server ended the publisher's connection");
  const std::uint64_t read_at = now();
  while (const std::size_t length = answer_length(input)) {
    if (!input.starts_with("HTTP/1.1 2") || sent_.empty()) {
      throw std::runtime_error("the server answered a publish: " + std::string(input.substr(0, 500)));
    }
    answers_.add(read_at > sent_.front() ? read_at - sent_.front() : 0);
    sent_.pop_front();
    input.remove_prefix(length);
  }
  if (!input.empty()) connection_.keep(input);
}

}  // namespace polyglot::load
