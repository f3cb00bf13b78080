// Loop: what everything on the server's thread shares.
//
// Thread safety: the server's thread alone, but for the numbers, which any thread may read.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <string>

#include "core/gateway.hpp"
#include "server/append_queue.hpp"
#include "server/append_wire.hpp"
#include "server/connection.hpp"
#include "server/connection_relay.hpp"
#include "server/handoff.hpp"
#include "server/hot_routes.hpp"
#include "server/http_reply.hpp"
#include "server/hub.hpp"
#include "server/longpoll_session.hpp"
#include "server/mirror.hpp"
#include "server/poller.hpp"
#include "server/presence_board.hpp"
#include "server/process_queue.hpp"
#include "server/process_wire.hpp"
#include "server/publishing.hpp"
#include "server/request_id.hpp"
#include "server/server_options.hpp"
#include "server/source_address.hpp"

namespace polyglot::server {

struct Loop {
  Loop(core::Gateway& the_gateway, ServerOptions the_options);

  core::Gateway& gateway;
  const ServerOptions options;
  boost::asio::io_context io;  // any thread may post to it; its descriptors and timers are this thread's
  Poller poller;
  Handoff handoff;
  AppendQueue appends;
  AppendWire append_wire;
  ProcessQueue processing;
  ProcessWire process_wire;
  ReplyWriter replies;
  RequestIds request_ids;
  SourceAddress source;
  Hub hub;
  Publishing publishing;
  Mirror mirror;
  PresenceBoard presence;
  HotRoutes hot_routes;
  LongPollSessions longpolls;
  ConnectionRelay relay;

  std::uint64_t access_version = 0;  // of the gateway, as of the last tick
  Connections connections;
  std::atomic<std::size_t> connection_count{0};  // written here alone
  std::atomic<bool> draining{false};             // the same
  std::atomic<std::uint64_t> requests{0};        // the same

  // Used within one call and then free for the next.
  std::array<char, 65536> input;
  std::string output;
  std::vector<Subscription*> to_serve;
};

}  // namespace polyglot::server
