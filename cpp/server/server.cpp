#include "server/server.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

namespace polyglot::server {
namespace {

constexpr std::chrono::milliseconds kTick{1000};
constexpr std::chrono::milliseconds kDrainTick{50};
constexpr double kFewPerSubscriber = 10;  // milliseconds

// Sockets are many; whatever the shell's default is, the hard limit is what the operator allows.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Server::Server(core::Gateway& gateway, const ServerOptions& options) : loop_(gateway, options), timer_(loop_.io) {}

Server::~Server() {
  stop();
}

void Server::start(const std::vector<int>& sockets, int heartbeat_fd) {
  raise_descriptor_limit();
  heartbeat_fd_ = heartbeat_fd;
  beat();
  for (const int socket : sockets) {
    const int copy = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) throw std::system_error(errno, std::system_category(), "dup");
    listeners_.push_back(std::make_unique<Listener>(loop_, copy));
  }
  for (const auto& listener : listeners_) listener->start();
  tick();
  // Signals are for the threads that know what to do with them; the new thread inherits this mask.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Server::run() {
  pthread_setname_np(pthread_self(), "polyglot-server");
  while (true) {
    try {
      loop_.io.run();
      return;
    } catch (const std::exception& error) {
      // Memory is short, most likely; the connection that asked for it was dropped on the way here.
      loop_.handoff.log({"the server's thread failed", error.what()});
    }
  }
}

void Server::tick() {
  timer_.expires_after(loop_.draining ? kDrainTick : kTick);  // first: whatever fails below, there is a next time
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
  if (heartbeat_fd_ >= 0 && clock_ms() - beat_at_.load(std::memory_order_relaxed) < kApplicationTime) {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);  // gunicorn's master compares with this clock
    const timespec times[2] = {now, now};
    futimens(heartbeat_fd_, times);
  }
  loop_.access_version = loop_.gateway.access_version();
  look_at_clocks();
  loop_.longpolls.look_at_clock(clock_ms());
  loop_.hub.look();
  loop_.presence.look(clock_ms());
  loop_.handoff.log_held_back();
  show_gauges();
}

void Server::show_gauges() {
  std::array<std::uint64_t, core::kNamedGauges> open{};
  const Hub::Load load = loop_.hub.load();
  std::uint64_t waiting = load.waiting_bytes + loop_.longpolls.waiting_bytes();
  for (const Connection& connection : loop_.connections) {
    if (!connection.is_open()) continue;
    ++open[static_cast<std::size_t>(connection.kind())];
    if (connection.is_subscriber()) waiting += connection.unsent();
  }
  core::Gauges& gauges = loop_.gateway.gauges();
  for (const auto kind : {core::Gauge::websocket, core::Gauge::sse, core::Gauge::http}) {
    gauges.set(kind, open[static_cast<std::size_t>(kind)]);
  }
  gauges.set(core::Gauge::longpoll, loop_.longpolls.size());
  gauges.set(core::Gauge::subscriptions, load.subscriptions);
  gauges.set(core::Gauge::queue_bytes, waiting);
}

void Server::look_at_clocks() {
  const std::int64_t now = clock_ms();
  std::vector<std::shared_ptr<Connection>> all;  // to look may close, and what is closed leaves the list
  all.reserve(loop_.connection_count);
  for (Connection& connection : loop_.connections) all.push_back(connection.shared_from_this());
  for (const auto& connection : all) {
    if (connection->is_open()) connection->check_clock(now);
  }
}

void Server::drain(double seconds) {
  boost::asio::post(loop_.io, [this, seconds] {
    if (loop_.draining) return;
    loop_.draining = true;
    for (const auto& listener : listeners_) listener->finish();
    loop_.longpolls.end_all();
    std::vector<std::shared_ptr<Connection>> all;
    std::size_t subscribers = 0;
    for (Connection& connection : loop_.connections) {
      all.push_back(connection.shared_from_this());
      subscribers += connection.is_subscriber() ? 1 : 0;
    }
    // Half of the time is for their leaving; few go faster.
    const double each = std::min(kFewPerSubscriber, 500 * seconds / static_cast<double>(subscribers + 1));
    const std::int64_t now = clock_ms();
    double delay = 0;
    for (const auto& connection : all) {
      connection->drain(now + static_cast<std::int64_t>(delay));
      if (connection->is_subscriber()) delay += each;
    }
    timer_.cancel();
    tick();
  });
}

void Server::hear_presence(std::vector<std::string> messages) {
  boost::asio::post(loop_.io, [this, messages = std::move(messages)] { loop_.presence.hear(messages); });
}

void Server::stop() {
  if (!thread_.joinable()) return;
  boost::asio::post(loop_.io, [this] {
    for (const auto& listener : listeners_) listener->stop();
    std::vector<std::shared_ptr<Connection>> all;
    for (Connection& connection : loop_.connections) all.push_back(connection.shared_from_this());
    loop_.longpolls.end_all();
    for (const auto& connection : all) connection->close();
    loop_.io.stop();
  });
  thread_.join();
}

}  // namespace polyglot::server
