// Connection: one client, whatever it speaks: its socket, how it waits, and what is on the way to it.
//
// Ownership: a connection that has begun to wait keeps itself alive until it is closed, and then until the loop's next
// turn.
// Thread safety: the server's thread alone.
#pragma once

#include <sys/uio.h>

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/file_descriptor.hpp"
#include "core/gauges.hpp"
#include "server/clock.hpp"

namespace polyglot::server {

struct Loop;

class Connection : public std::enable_shared_from_this<Connection>,
                   public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  using Socket = core::FileDescriptor;

  Connection(Loop& loop, Socket socket);
  virtual ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Once a second: cuts off who takes nothing or lingers too long, then asks look_at_clock.
  void check_clock(std::int64_t now);
  // The server stops: say so to the client. Subscribers go at `at`, each at a time of its own, so that they do not all
  // come back at once.
  virtual void drain(std::int64_t at) = 0;
  virtual bool is_subscriber() const { return false; }
  // Where it is counted while it is open.
  virtual core::Gauge kind() const { return core::Gauge::http; }
  bool is_open() const { return socket_.valid(); }
  std::size_t unsent() const { return out_.size(); }
  void close();
  // What the poller saw (EPOLLIN and so on).
  void on_events(std::uint32_t events);

 protected:
  // Its own time limits.
  virtual void look_at_clock(std::int64_t now) = 0;
  // There are bytes, or the end of them.
  virtual void on_readable() = 0;
  // What was held back is sent.
  virtual void on_sent() {}
  // The connection is closed; called once.
  virtual void on_closed() {}

  Loop& loop() const { return loop_; }
  int fd() const { return socket_.get(); }

  void wait_to_read();
  // Sends now what the socket takes and the rest when it can, then calls on_sent. False: all of it went out.
  bool send(std::string_view bytes);
  // The same for what lies in pieces, but nothing is kept: returns how many bytes went out, -1 when the client is gone.
  std::ptrdiff_t send_now(const iovec* parts, std::size_t count);
  // Sends `rest`, which may be empty, as soon as the socket takes more, then calls on_sent. REQUIRES: !is_sending().
  void send_later(std::string_view rest);
  bool is_sending() const { return writing_; }
  // Bytes into `data`, 0 at the end of them, -1 when there are none now. An error counts as the end.
  std::ptrdiff_t receive(char* data, std::size_t size);
  // As receive() of one byte, which stays where it is.
  std::ptrdiff_t peek();
  // Sends no more and reads what comes until the client goes, so that it can read what was sent last (RFC 9112 §9.6).
  void linger();
  bool is_lingering() const { return lingering_; }

  // Does what may throw, outside of what this class itself calls; the connection is then closed, since nobody else
  // would end it.
  template <typename Action>
  void guard(const Action& action) {
    try {
      action();
    } catch (...) {
      close();
      throw;
    }
  }

  // The socket leaves this connection, for one that speaks something else.
  Socket release();

  std::int64_t deadline_ = 0;  // of what is waited for; each protocol has its own

 private:
  void wait_to_write();
  // Begins to be told by the poller, and ends it.
  void join();
  void let_go();
  void on_readiness(std::uint32_t events);
  void on_writable();
  void drop_input();

  Loop& loop_;
  Socket socket_;
  std::shared_ptr<Connection> self_;  // as long as the poller knows it
  std::string out_;
  std::int64_t sent_at_ = 0;  // when the client last took something of out_
  bool reading_ = false;      // waits until there are bytes
  bool readable_ = false;     // there are bytes, or the end, as far as is known
  bool ended_ = false;        // the end has come, perhaps behind bytes
  bool again_ = false;        // is to read in a later turn, and not before
  bool writing_ = false;      // waits until the socket takes more
  bool lingering_ = false;
};

using Connections = boost::intrusive::list<Connection, boost::intrusive::constant_time_size<false>>;

}  // namespace polyglot::server
