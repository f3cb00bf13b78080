#include "server/process_wire.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "core/buffer.hpp"
#include "core/json_text.hpp"
#include "core/process_messages.hpp"
#include "core/timestamp.hpp"

namespace polyglot::server {
namespace {

constexpr std::size_t kKeptBytes = std::size_t{1} << 20;  // of memory, for what is sent
constexpr int kMostReads = 16;                            // of one connection before it is another's turn

// The message, with room for what is before it.
std::string message_of(const core::ProcessCall& call) {
  struct Texts {
    char id[core::kEventIdLength];
    char time[core::kTimestampLength];
    std::string type;
  };
  std::vector<Texts> texts(call.events().size());
  std::vector<core::ProcessEvent> events;
  events.reserve(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const core::ProcessCall::Event& event = call.events()[i];
    const core::SentEvent& sent = event.item->event;
    core::write_event_id(event.append().id, texts[i].id);
    core::write_timestamp(event.append().time, texts[i].time);
    texts[i].type = core::unescape(sent.type);
    events.push_back({.id = {texts[i].id, sizeof(texts[i].id)},
                      .app = event.submission->app(),
                      .channel = event.item->channel,
                      .type = texts[i].type,
                      .data = sent.data,
                      .timestamp = {texts[i].time, sizeof(texts[i].time)},
                      .user_id = event.submission->user_id(),
                      .source_ip = event.submission->source_ip(),
                      .traceparent = event.submission->traceparent()});
  }
  core::Buffer message;
  core::write_events(events, message);
  std::string with_prefix;
  with_prefix.reserve(kGrpcPrefix + message.size());
  with_prefix.append(kGrpcPrefix, '\0').append(message.text());
  return with_prefix;
}

// False when these are no verdicts on its events; then nothing was done.
bool judge(core::ProcessCall& call, std::string_view message) {
  const auto verdicts = core::read_verdicts(message);
  const auto events = call.events();
  if (!verdicts || verdicts->size() != events.size()) return false;
  for (std::size_t i = 0; i < events.size(); ++i) {
    char id[core::kEventIdLength];
    core::write_event_id(events[i].append().id, id);
    if ((*verdicts)[i].id != std::string_view(id, sizeof(id))) return false;
  }
  for (std::size_t i = 0; i < events.size(); ++i) {
    const core::ProcessVerdict& verdict = (*verdicts)[i];
    if (verdict.kind == core::VerdictKind::replace) call.replace(i, verdict.data);
    if (verdict.kind == core::VerdictKind::reject) call.reject(i, verdict.reason);
  }
  return true;
}

}  // namespace

ProcessWire::Peer::Peer(boost::asio::io_context& io, core::FileDescriptor fd, const Connection& connection)
    : session(connection.method), socket(io, fd.get()), way(connection.way), admission(connection.admission) {
  fd.release();
}

ProcessWire::ProcessWire(boost::asio::io_context& io, core::Gateway& gateway, ProcessQueue& queue)
    : io_(io), gateway_(gateway), queue_(queue), timer_(io) {
  queue_.sends = [this](const Batch& batch) { return send(batch); };
}

void ProcessWire::lend(const std::vector<Connection>& connections, std::chrono::milliseconds answer_time) {
  auto copies = std::make_shared<std::vector<core::FileDescriptor>>();
  for (const Connection& connection : connections) {
    copies->emplace_back(fcntl(connection.fd, F_DUPFD_CLOEXEC, 0));
    if (!copies->back().valid()) throw std::system_error(errno, std::system_category(), "dup");
  }
  lent_.store(true, std::memory_order_release);
  try {
    boost::asio::post(io_, [this, copies, connections, answer_time] {
      try {
        if (is_lent()) take(connections, std::move(*copies), answer_time);
      } catch (const std::exception&) {  // there is no memory, or no descriptor can be watched
        withdraw();
      }
    });
  } catch (...) {
    lent_.store(false, std::memory_order_release);
    throw;
  }
}

void ProcessWire::take(const std::vector<Connection>& connections, std::vector<core::FileDescriptor> copies,
                       std::chrono::milliseconds answer_time) {
  dismiss();
  answer_time_ = answer_time;
  lent_at_ = Clock::now();
  for (std::size_t i = 0; i < connections.size(); ++i) {
    if (away_.size() <= connections[i].way) away_.resize(connections[i].way + 1);
    peers_.push_back(std::make_shared<Peer>(io_, std::move(copies[i]), connections[i]));
  }
  for (const PeerPointer& peer : std::vector(peers_)) {
    if (!peer->lent) continue;
    wait_to_read(peer);
    write(peer);
  }
  if (!timer_runs_) wait_for_deadline();
}

void ProcessWire::revoke() {
  lent_.store(false, std::memory_order_release);
  boost::asio::post(io_, [this] {
    if (!is_lent()) dismiss();
  });
}

void ProcessWire::withdraw() {
  lent_.store(false, std::memory_order_release);
  dismiss();
}

void ProcessWire::dismiss() {
  for (const PeerPointer& peer : peers_) peer->lent = false;
  let_go();
}

void ProcessWire::let_go() {
  std::erase_if(peers_, [](const PeerPointer& peer) {
    if (peer->lent || !peer->away.empty()) return false;
    boost::system::error_code ignored;
    peer->socket.close(ignored);
    return true;
  });
}

ProcessWire::PeerPointer ProcessWire::least_busy() {
  PeerPointer best;
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    const PeerPointer& peer = peers_[(next_peer_ + i) % peers_.size()];
    if (!peer->lent) continue;
    if (!peer->session.is_ready()) return nullptr;
    const auto load = [this](const Peer& one) { return std::pair(away_[one.way], one.away.size()); };
    if (best == nullptr || load(*peer) < load(*best)) best = peer;
  }
  ++next_peer_;
  return best;
}

bool ProcessWire::send(const Batch& batch) {
  if (!is_lent() || batch->call->events().empty()) return false;
  const PeerPointer peer = least_busy();
  if (peer == nullptr) return false;
  try {
    std::string message = message_of(*batch->call);
    if (message.size() > kMostBatchBytes) return false;
    peer->away.reserve(peer->away.size() + 1);
    const GrpcSession::Id id = peer->session.call(std::move(message), answer_time_);
    try {
      peer->away.emplace(id, Away{batch, Clock::now()});
      ++away_[peer->way];
    } catch (const std::bad_alloc&) {
      peer->session.cancel(id);
      throw;
    }
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (!timer_runs_) wait_for_deadline();
  write(peer);
  return true;
}

void ProcessWire::wait_to_read(const PeerPointer& peer) {
  peer->socket.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this, peer](const boost::system::error_code& error) {
                            if (!error) read(peer);
                          });
}

void ProcessWire::wait_to_write(const PeerPointer& peer) {
  peer->socket.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                          [this, peer](const boost::system::error_code& error) {
                            peer->waits_to_write = false;
                            if (!error) write(peer);
                          });
  peer->waits_to_write = true;
}

void ProcessWire::read(const PeerPointer& peer) {
  std::array<char, 16384> bytes;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const ssize_t count = recv(peer->socket.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) return end(*peer);
    if (!peer->session.receive({bytes.data(), static_cast<std::size_t>(count)})) return end(*peer);
    if (static_cast<std::size_t>(count) < bytes.size()) break;
  }
  write(peer);
  if (peer->socket.is_open()) wait_to_read(peer);
}

void ProcessWire::write(const PeerPointer& peer) {
  if (!peer->socket.is_open()) return;
  try {
    peer->session.pack(peer->out);
  } catch (const std::bad_alloc&) {
    return end(*peer);
  }
  settle(*peer);  // some calls end when nghttp2 comes to what it has to say of them
  if (!peer->socket.is_open() || peer->waits_to_write) return;
  while (peer->written < peer->out.size()) {
    const ssize_t count = ::send(peer->socket.native_handle(), peer->out.data() + peer->written,
                                 peer->out.size() - peer->written, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return wait_to_write(peer);
    if (count < 0) return;  // what it said before it closed the connection is still to be read, and then the end
    peer->written += static_cast<std::size_t>(count);
  }
  peer->out.clear();
  if (peer->out.capacity() > kKeptBytes) std::string().swap(peer->out);
  peer->written = 0;
  if (peer->session.is_over()) end(*peer);
}

void ProcessWire::wait_for_deadline() {
  // It goes on running between the batches, because to set it costs a system call.
  auto first = Clock::time_point::max();
  for (const PeerPointer& peer : peers_) {
    if (peer->lent && !peer->session.is_ready()) first = std::min(first, lent_at_ + answer_time_);
    for (const auto& [id, away] : peer->away) first = std::min(first, away.sent_at + answer_time_);
  }
  if (first == Clock::time_point::max()) return;
  timer_.expires_at(first);
  timer_.async_wait([this](const boost::system::error_code& error) {
    timer_runs_ = false;
    if (error) return;
    wait_for_deadline();  // first, as what follows may fail; then it comes at once, and looks again
    look_at_clock();
  });
  timer_runs_ = true;
}

void ProcessWire::look_at_clock() {
  const Clock::time_point now = Clock::now();
  for (const PeerPointer& peer : std::vector(peers_)) {
    if (peer->lent && !peer->session.is_ready() && now >= lent_at_ + answer_time_) withdraw();
    std::vector<GrpcSession::Id> late;
    for (const auto& [id, away] : peer->away) {
      if (now >= away.sent_at + answer_time_) late.push_back(id);
    }
    for (const GrpcSession::Id id : late) {
      peer->session.cancel(id);
      const Away away = std::move(peer->away.extract(id).mapped());
      answer(*peer, away, {kGrpcDeadlineExceeded});
    }
    write(peer);
  }
}

void ProcessWire::settle(Peer& peer) {
  for (GrpcSession::Ended& ended : peer.session.take_ended()) {
    const auto found = peer.away.find(ended.id);
    if (found == peer.away.end()) continue;
    const Away away = std::move(peer.away.extract(found).mapped());
    answer(peer, away, std::move(ended.answer));
  }
  if (peer.lent && peer.session.is_closing()) withdraw();
  let_go();
}

void ProcessWire::answer(const Peer& peer, const Away& away, GrpcAnswer answer) {
  --away_[peer.way];
  const auto time = Clock::now() - away.sent_at;
  gateway_.counters().add_time(core::Timer::processor, std::chrono::nanoseconds(time).count());
  bool judged = false;
  try {
    // After a loan the circuit breaker counts what went well too.
    judged = peer.lent && answer.status == 0 && judge(*away.batch->call, answer.text);
  } catch (const std::bad_alloc&) {
    answer = {kGrpcResourceExhausted};
  }
  if (judged) {
    away.batch->call->finish();
    return queue_.finish(away.batch);
  }
  if (peer.lent) withdraw();
  away.batch->answer = {peer.way, peer.admission, std::move(answer), time};
  queue_.give(away.batch);
}

void ProcessWire::end(Peer& peer) {
  boost::system::error_code ignored;
  peer.socket.close(ignored);
  peer.session.end();
  settle(peer);
}

}  // namespace polyglot::server
