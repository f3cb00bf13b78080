// The routes that the server answers itself: publish, batch, broadcast, history, presence, /alive and /ready.
//
// Only the plain case is answered here. What is rare, such as bearer tokens, odd content types, fields that are sent
// twice or parameters that are not valid, goes to the application, which has the words for all of it, so that both
// servers give the same bytes.
//
// Thread safety: of an object, one thread at a time.
#pragma once

#include <string>
#include <string_view>

#include "core/gateway.hpp"
#include "server/append_queue.hpp"
#include "server/http_reply.hpp"
#include "server/http_request.hpp"
#include "server/hub.hpp"
#include "server/presence_board.hpp"
#include "server/routes.hpp"
#include "server/source_address.hpp"

namespace polyglot::server {

class HotRoutes {
 public:
  HotRoutes(core::Gateway& gateway, Hub& hub, const PresenceBoard& presence, const SourceAddress& source,
            std::size_t max_batch_bytes)
      : gateway_(gateway), hub_(hub), presence_(presence), source_(source), max_batch_bytes_(max_batch_bytes) {}

  // Whether the request can be answered here; else it is the application's. `query` is filled for those that have one.
  bool take(const HttpRequest& request, const Routed& routed, const HttpTarget& target);

  // For a request that takes events: what its head alone decides, and how large its body may be.
  // REQUIRES: take() said so.
  core::Status check(const HttpRequest& request, const Routed& routed, core::ApiKey& key) const;
  std::size_t body_limit(const Routed& routed) const;

  // The same up to where the events would be appended, for an engine elsewhere. REQUIRES: it takes events, and check()
  // was ok.
  core::Result<OwnedSubmission> prepare(const HttpRequest& request, const Routed& routed, std::string_view body,
                                        const SourceAddress::Peer& peer) const;

  // Ok, and `reply` is set; its texts last until the next call. REQUIRES: take() said so, and for a request that takes
  // events check() was ok.
  core::Status answer(const HttpRequest& request, const Routed& routed, std::string_view body,
                      const SourceAddress::Peer& peer, core::ApiKey& key, Reply& reply);

  // The fields that tell how much the app may still publish, each with its CRLF; none where that is not limited.
  std::string rate_limit_fields(std::string_view app) const;

 private:
  // `forwarded` is for a text of it, and lasts as long.
  core::Sender sender_of(const HttpRequest& request, const SourceAddress::Peer& peer, std::string& forwarded) const;
  bool take_history(std::string_view query);

  core::Gateway& gateway_;
  Hub& hub_;
  const PresenceBoard& presence_;
  const SourceAddress& source_;
  std::size_t max_batch_bytes_;
  core::HistoryRequest history_;
  std::string epoch_;
  core::HistoryPage page_;
  std::string body_;
  std::string fields_;
};

}  // namespace polyglot::server
