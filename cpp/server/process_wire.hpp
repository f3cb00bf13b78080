// ProcessWire: takes the batches of the ProcessQueue to a processor over gRPC itself, by connections that somebody else
// has made.
//
// It knows the plain course alone: a batch is sent, and there is a verdict on each of its events. Whatever is different
// it gives back to the queue, with what came of the batch, for who lent the connections: a batch that is too large for
// one message, an answer that is no verdicts, a status, a connection that breaks, no answer in time. After that, and
// once a service wants no more calls, it has no connections any more, and gives back any answer that is still to come.
//
// Thread safety: lend, revoke and is_lent from any thread; the rest is the server's thread's.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/file_descriptor.hpp"
#include "core/gateway.hpp"
#include "server/grpc_session.hpp"
#include "server/process_queue.hpp"

namespace polyglot::server {

inline constexpr std::size_t kMostBatchBytes = std::size_t{4} << 20;  // of a message; BATCH_BYTES of processor/base.py

class ProcessWire {
 public:
  struct Connection {
    int fd;  // nobody else reads or writes
    GrpcSession::Method method;
    // Go into the answer.
    std::size_t way;
    std::int64_t admission;
  };

  ProcessWire(boost::asio::io_context& io, core::Gateway& gateway, ProcessQueue& queue);

  // Sends by copies of them, each time the way that has the fewest calls, and waits so long for answers.
  // std::system_error when there are no descriptors left.
  void lend(const std::vector<Connection>& connections, std::chrono::milliseconds answer_time);
  // Nothing is sent from now on. The answers to what is away are waited for, and then there are no connections any
  // more.
  void revoke();
  bool is_lent() const { return lent_.load(std::memory_order_acquire); }

 private:
  using Clock = std::chrono::steady_clock;
  using Batch = std::shared_ptr<ProcessQueue::Batch>;
  struct Away {
    Batch batch;
    Clock::time_point sent_at;
  };
  struct Peer {
    Peer(boost::asio::io_context& io, core::FileDescriptor fd, const Connection& connection);

    GrpcSession session;
    boost::asio::posix::stream_descriptor socket;
    const std::size_t way;
    const std::int64_t admission;
    bool lent = true;
    std::unordered_map<GrpcSession::Id, Away> away;
    std::string out;
    std::size_t written = 0;
    bool waits_to_write = false;
  };
  using PeerPointer = std::shared_ptr<Peer>;  // what waits for its socket has it too

  // Whether it has taken the batch.
  bool send(const Batch& batch);
  // Null when not all that are lent are ready.
  PeerPointer least_busy();
  void take(const std::vector<Connection>& connections, std::vector<core::FileDescriptor> copies,
            std::chrono::milliseconds answer_time);
  void wait_to_read(const PeerPointer& peer);
  void wait_to_write(const PeerPointer& peer);
  void read(const PeerPointer& peer);
  // What the peer's session has to send.
  void write(const PeerPointer& peer);
  void wait_for_deadline();
  void look_at_clock();
  // Brings to an end what the peer's session has an end of.
  void settle(Peer& peer);
  void answer(const Peer& peer, const Away& away, GrpcAnswer answer);
  void end(Peer& peer);
  void withdraw();
  // From now on none of the peers is lent.
  void dismiss();
  // Closes what is neither lent nor has anything away.
  void let_go();

  boost::asio::io_context& io_;
  core::Gateway& gateway_;
  ProcessQueue& queue_;
  std::atomic<bool> lent_{false};
  std::vector<PeerPointer> peers_;  // that are lent, and those that were and have something away
  std::size_t next_peer_ = 0;       // among those that have as few calls
  std::vector<std::size_t> away_;   // calls by way
  std::chrono::milliseconds answer_time_{0};
  Clock::time_point lent_at_;
  boost::asio::steady_timer timer_;
  bool timer_runs_ = false;
};

}  // namespace polyglot::server
