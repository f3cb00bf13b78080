// The kernel's share of an HTTP request: a server on bare epoll that looks for the end of each request, parses no more
// than that takes, and answers a constant as long as the gateway's answer to a publish. What a server costs beyond this
// is its own.
//
// Usage: floor PORT. Listens on 127.0.0.1 until a signal ends it. One thread; keep-alive always; requests that come
// together are answered together. Errors: exit status 1 and a line that says why.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

constexpr std::string_view kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 121\r\n\r\n"
    R"({"id":"evt_01JD5Z0000000000000000000000","timestamp":"2025-11-17T18:39:56.107549Z","offset":1,)"
    R"("epoch":"0123456789abcdef"})";
static_assert(kAnswer.size() - kAnswer.find("\r\n\r\n") - 4 == 121);

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

// The bytes of the first request in `input`, its body included; 0 when it is not whole yet.
std::size_t request_length(std::string_view input) {
  const std::size_t head = input.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  std::size_t body = 0;
  constexpr std::string_view kLength = "\r\nContent-Length: ";  // as our clients write it
  if (const std::size_t at = input.substr(0, head).find(kLength); at != std::string_view::npos) {
    std::from_chars(input.data() + at + kLength.size(), input.data() + head, body);
  }
  const std::size_t whole = head + 4 + body;
  return whole <= input.size() ? whole : 0;
}

class Floor {
 public:
  explicit Floor(std::uint16_t port) : listener_(socket(AF_INET, SOCK_STREAM, 0)), epoll_(epoll_create1(0)) {
    if (listener_ < 0 || epoll_ < 0) fail("socket");
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
    if (listen(listener_, 1024) != 0) fail("listen");
    watch(listener_);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < ready; ++i) {
        const int socket = events[static_cast<std::size_t>(i)].data.fd;
        if (socket == listener_) {
          accept_one();
        } else if (!serve(socket)) {
          unfinished_.erase(socket);
          close(socket);
        }
      }
    }
  }

 private:
  void watch(int socket) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = socket;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) fail("epoll_ctl");
  }

  void accept_one() {
    const int on = 1;
    const int socket = accept(listener_, nullptr, nullptr);
    if (socket < 0) return;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(socket);
  }

  // Answers the requests that are whole. False when the connection has ended.
  bool serve(int socket) {
    const ssize_t count = recv(socket, buffer_.data(), buffer_.size(), 0);
    if (count <= 0) return false;
    std::string_view input(buffer_.data(), static_cast<std::size_t>(count));
    const auto found = unfinished_.empty() ? unfinished_.end() : unfinished_.find(socket);
    if (found != unfinished_.end()) input = found->second.append(input);
    std::size_t answers = 0;
    while (const std::size_t length = request_length(input)) {
      input.remove_prefix(length);
      ++answers;
    }
    answer(socket, answers);
    if (found != unfinished_.end()) {
      found->second.erase(0, found->second.size() - input.size());
      if (found->second.empty()) unfinished_.erase(found);
    } else if (!input.empty()) {
      unfinished_.emplace(socket, input);
    }
    return true;
  }

  void answer(int socket, std::size_t answers) {
    if (answers == 1) {
      send(socket, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
    } else if (answers > 1) {
      std::string all;
      for (std::size_t i = 0; i < answers; ++i) all += kAnswer;
      send(socket, all.data(), all.size(), MSG_NOSIGNAL);
    }
  }

  int listener_;
  int epoll_;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{256} << 10);
  std::unordered_map<int, std::string> unfinished_;  // by socket; requests of which a part has come
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view text = argc == 2 ? argv[1] : "";
  std::uint16_t port = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), port).ptr != text.data() + text.size() || port == 0) {
    std::fputs("usage: floor PORT\n", stderr);
    return 1;
  }
  Floor(port).run();
}
