#include "server/loop.hpp"

#include <utility>

namespace polyglot::server {

Loop::Loop(core::Gateway& the_gateway, ServerOptions the_options)
    : gateway(the_gateway),
      options(std::move(the_options)),
      io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO),
      poller(io, [this] { return hub.is_scheduled(); }),
      handoff(io),
      appends(io),
      append_wire(io, gateway, appends),
      processing(io, gateway, options.most_processed),
      process_wire(io, gateway, processing),
      replies(options.cors_origins, &gateway.counters()),
      source(options.trusted_proxies),
      hub(io, gateway),
      publishing(io, gateway, hub, processing, appends, options.processes, options.engine_elsewhere),
      mirror(handoff, hub, options.engine_elsewhere),
      presence(gateway, hub, options.engine_elsewhere ? &handoff : nullptr),
      hot_routes(gateway, hub, presence, source, options.max_batch_bytes),
      longpolls(gateway.segment().worker()),
      relay(*this),
      input{} {}

}  // namespace polyglot::server
