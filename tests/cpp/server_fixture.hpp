// What the tests of the running server share: one in this process over a folder of its own, blocking clients for the
// tests' threads, and a stand-in for the application.
//
// Errors: what does not come within kPatience is a std::runtime_error, so a test fails and does not hang.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "server/server.hpp"
#include "temporary.hpp"

namespace polyglot::server::testing {

inline constexpr std::chrono::seconds kPatience{60};

// Runs `work(0)` to `work(count - 1)`, each on a thread of its own; throws what one of them threw.
inline void in_parallel(int count, const std::function<void(int)>& work) {
  std::vector<std::future<void>> all;
  for (int i = 0; i < count; ++i) all.push_back(std::async(std::launch::async, work, i));
  for (std::future<void>& one : all) one.get();
}

inline void wait_until(const std::function<bool()>& condition, const char* what) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error(std::string("waited for ") + what);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

struct Answer {
  int status = 0;
  std::string head;
  std::string body;
};

// A blocking connection to a port of the loopback.
class Client {
 public:
  // `receive_buffer` in bytes; 0: the kernel's choice.
  explicit Client(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer != 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      ::close(fd_);
      throw std::runtime_error("nobody listens");
    }
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // With RST, whatever is under way.
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close();
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("the server takes nothing more");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // Up to and with `end`.
  std::string take_to(std::string_view end) {
    std::size_t at = 0;
    while ((at = read_.find(end)) == std::string::npos) receive();
    return take(at + end.size());
  }
  std::string take(std::size_t size) {
    while (read_.size() < size) receive();
    std::string taken = read_.substr(0, size);
    read_.erase(0, size);
    return taken;
  }
  // The head of an answer.
  Answer head() {
    Answer answer;
    answer.head = take_to("\r\n\r\n");
    answer.status = std::stoi(answer.head.substr(9, 3));
    return answer;
  }
  // One answer with Content-Length.
  Answer answer() {
    Answer answer = head();
    const std::size_t field = answer.head.find("Content-Length: ");
    if (field == std::string::npos) throw std::runtime_error("an answer without a length: " + answer.head);
    answer.body = take(std::stoul(answer.head.substr(field + 16)));
    return answer;
  }
  Answer ask(std::string_view request) {
    send(request);
    return answer();
  }
  // A chunk of a body; empty is the last.
  std::string chunk() {
    const std::size_t size = std::stoul(take_to("\r\n"), nullptr, 16);
    std::string chunk = take(size);
    if (take(2) != "\r\n") throw std::runtime_error("a chunk without its end");
    return chunk;
  }
  // Nothing more will be sent.
  void end() { ::shutdown(fd_, SHUT_WR); }
  // Whatever comes until the server closes, or resets, the connection.
  std::string rest() {
    while (receive_some() > 0) continue;
    return std::exchange(read_, {});
  }

 private:
  void receive() {
    if (receive_some() == 0) throw std::runtime_error("the server closed the connection behind: " + read_);
  }
  std::size_t receive_some() {
    char bytes[16384];
    const ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) throw std::runtime_error("nothing came for too long");
    if (got <= 0) return 0;
    read_.append(bytes, static_cast<std::size_t>(got));
    return static_cast<std::size_t>(got);
  }

  int fd_;
  std::string read_;
};

// A Phoenix client over WebSocket, for messages up to 64 KiB.
class PhoenixClient {
 public:
  // `query`: what follows vsn, such as "&app_id=app".
  explicit PhoenixClient(std::uint16_t port, std::string_view query, int receive_buffer = 0)
      : client_(port, receive_buffer) {
    client_.send("GET /socket/websocket?vsn=2.0.0" + std::string(query) +
                 " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  }
  // The status of the handshake's answer.
  int opened() { return client_.head().status; }

  void send(std::string_view text) {
    std::string frame = "\x81";
    if (text.size() < 126) {
      frame += static_cast<char>(0x80 | text.size());
    } else {
      frame.append({'\xfe', static_cast<char>(text.size() >> 8), static_cast<char>(text.size())});
    }
    client_.send(frame.append("\0\0\0\0", 4).append(text));  // a mask of zeros
  }
  // The payload of the next frame; of a close frame "close <code>".
  std::string next() {
    const std::string head = client_.take(2);
    std::size_t size = static_cast<unsigned char>(head[1]);
    if (size >= 126) {
      std::size_t longer = 0;
      for (const char c : client_.take(size == 126 ? 2 : 8)) longer = longer << 8 | static_cast<unsigned char>(c);
      size = longer;
    }
    const std::string payload = client_.take(size);
    if (head[0] != '\x88') return payload;
    const auto byte = [&payload](std::size_t i) { return static_cast<unsigned char>(payload.at(i)); };
    return "close " + std::to_string(byte(0) << 8 | byte(1));
  }
  // The next frame with `text` in it; those before are dropped.
  std::string next_with(std::string_view text) {
    while (true) {
      std::string payload = next();
      if (payload.find(text) != std::string::npos) return payload;
      if (payload.starts_with("close ")) throw std::runtime_error(payload + " in place of " + std::string(text));
    }
  }
  void join(std::string_view channel, std::string_view parameters = "{}") {
    send("[\"1\",\"1\",\"" + std::string(channel) + "\",\"phx_join\"," + std::string(parameters) + "]");
  }
  Client& client() { return client_; }

 private:
  Client client_;
};

// The number behind the last `"offset":` of a text.
inline std::uint64_t offset_in(std::string_view text) {
  const std::size_t at = text.rfind("\"offset\":");
  if (at == std::string_view::npos) throw std::runtime_error("no offset in " + std::string(text));
  return std::stoull(std::string(text.substr(at + 9)));
}

// The application: a thread that takes what the server hands off.
class Application {
 public:
  Application(Server& server, std::function<void(const HandoffJob&)> work)
      : ends_(eventfd(0, EFD_CLOEXEC)), thread_([this, &server, work = std::move(work)] {
          while (true) {
            pollfd waited[2] = {{ends_, POLLIN, 0}, {server.handoff().fd(), POLLIN, 0}};
            ::poll(waited, 2, -1);
            if (waited[0].revents != 0) return;
            for (const HandoffJob& job : server.handoff().take()) work(job);
          }
        }) {}
  ~Application() {
    eventfd_write(ends_, 1);
    thread_.join();
    ::close(ends_);
  }
  Application(const Application&) = delete;
  Application& operator=(const Application&) = delete;

 private:
  int ends_;
  std::thread thread_;
};

// A socket that listens on a free port of the loopback.
class Listening {
 public:
  Listening() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0 || listen(fd_, 128) != 0 ||
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("no port to listen at");
    }
    port_ = ntohs(address.sin_port);
  }
  ~Listening() { ::close(fd_); }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  int fd() const { return fd_; }
  std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

// A part of the application's reply; its status is 200.
inline ApplicationReply reply_part(ApplicationReply::Part part, std::string body = {}) {
  ApplicationReply reply;
  reply.part = part;
  reply.set_status("200 OK");
  reply.body = std::move(body);
  return reply;
}

class ServerTest : public ::testing::Test {
 protected:
  using Part = ApplicationReply::Part;

  ServerTest() {
    configure(*gateway_, 65536);
    server_->start({listening_.fd()}, -1);
  }

  // Another worker of the host.
  std::unique_ptr<core::Gateway> open_gateway() {
    return core::testing::open_gateway({.segment = {.data_dir = folder_.path(),
                                                    .history_size = 1000,
                                                    .history_bytes = std::uint64_t{32} << 20,
                                                    .max_channels = 64,
                                                    .idempotency_keys = 64}});
  }
  // As in development; sockets may publish, and have presence, in room:*.
  static void configure(core::Gateway& gateway, std::uint64_t max_event_bytes) {
    core::Rules rules({.max_event_bytes = max_event_bytes});
    rules.add("*", core::testing::taken(core::ChannelPattern::parse("room:*")),
              {.max_event_bytes = max_event_bytes, .client_publish = true, .presence = true});
    gateway.configure(core::Access(true), std::move(rules));
  }

  static std::string event(std::string_view data = "1") {
    return R"({"type":"test","data":)" + std::string(data) + "}";
  }
  static std::string publish_request(std::string_view channel, const std::string& body = event()) {
    return "POST /apps/app/channels/" + std::string(channel) +
           "/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_app\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string batch_request(const std::string& body) {
    return "POST /apps/app/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_app\r\nContent-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  static std::string get(std::string_view target) {
    return "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\nX-API-Key: valid_key_app\r\n\r\n";
  }
  static void publish(core::Gateway& gateway, std::string_view channel, const std::string& body = event()) {
    core::testing::taken(gateway.publish("app", channel, body, {}));
  }
  static std::shared_ptr<const core::Grant> grant(std::string app = "app") {
    core::Grant grant(std::move(app), "alice", 0);
    grant.allow(core::testing::taken(core::ChannelPattern::parse("*")),
                core::kSubscribe | core::kPublish | core::kPresence);
    return std::make_shared<const core::Grant>(std::move(grant));
  }

  core::testing::TemporaryFolder folder_;
  std::unique_ptr<core::Gateway> gateway_ = open_gateway();
  std::unique_ptr<Server> server_ = std::make_unique<Server>(*gateway_, ServerOptions{});
  Listening listening_;
  std::uint16_t port_ = listening_.port();
};

}  // namespace polyglot::server::testing
