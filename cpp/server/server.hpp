// Server: one thread that serves HTTP, WebSocket and SSE on listening sockets, beside whatever else the process does.
//
// What it does not answer itself waits in handoff() for the application. It keeps a file's time fresh for whoever
// watches over this process, as long as the application gives signs of life itself.
//
// Thread safety: every method from any thread, after start() and before the destructor.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <thread>
#include <vector>

#include "server/listener.hpp"
#include "server/loop.hpp"
#include "server/news.hpp"

namespace polyglot::server {

// How long the application may be blocked before the process no longer counts as alive, in milliseconds.
inline constexpr std::int64_t kApplicationTime = 120'000;

class Server {
 public:
  // The gateway must outlive the server.
  Server(core::Gateway& gateway, const ServerOptions& options);
  // As stop().
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves on copies of these descriptors. `heartbeat_fd`: the file whose modification time is set once a second; -1
  // for none; it must stay open. std::system_error when a socket cannot be used.
  void start(const std::vector<int>& sockets, int heartbeat_fd);
  // The application lives.
  void beat() { beat_at_.store(clock_ms(), std::memory_order_relaxed); }
  // Takes no more connections and asks the clients to go, the sockets among them spread over `seconds`.
  void drain(double seconds);
  // Messages from the bus of presence, where it goes through Python: all that came, also one's own, in their order.
  void hear_presence(std::vector<std::string> messages);
  // Takes over news from a connection to Redis, for as long as the server lives.
  std::shared_ptr<News> listen(int fd) { return News::listen(loop_, fd); }
  // Ends the thread; what is still open is cut off. Idempotent.
  void stop();

  Handoff& handoff() { return loop_.handoff; }
  AppendQueue& appends() { return loop_.appends; }
  ProcessQueue& processing() { return loop_.processing; }
  ProcessWire& process_wire() { return loop_.process_wire; }
  AppendWire& append_wire() { return loop_.append_wire; }
  // Requests begun since the start.
  std::uint64_t requests() const { return loop_.requests.load(std::memory_order_relaxed); }
  std::size_t connections() const { return loop_.connection_count.load(std::memory_order_relaxed); }
  // A drain is complete: nobody is connected.
  bool drained() const { return loop_.draining.load() && connections() == 0; }

 private:
  void run();
  void tick();
  void look_at_clocks();
  void show_gauges();

  Loop loop_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  boost::asio::steady_timer timer_;
  int heartbeat_fd_ = -1;
  std::atomic<std::int64_t> beat_at_{0};
  std::thread thread_;
};

}  // namespace polyglot::server
