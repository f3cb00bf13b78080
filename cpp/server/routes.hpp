// Which of the server's own routes a request is for; all others are the application's.
//
// A path is decoded before it is taken apart, and behind /apps/{app}/channels/ the last segment is the action if it
// names one, all before it the channel; a last slash that was sent as %2F belongs to the channel. (The application's
// router has the same rules.)
//
// Thread safety: pure functions.
#pragma once

#include <boost/beast/http/verb.hpp>
#include <cstdint>
#include <ostream>  // Boost 1.74 forgets it
#include <string>
#include <string_view>

#include "server/http_target.hpp"

namespace polyglot::server {

enum class Route : std::uint8_t {
  other,  // the application's
  publish,
  batch,
  broadcast,
  history,
  events,
  presence,
  alive,
  ready,
  websocket,
  longpoll,
};

struct Routed {
  Route route = Route::other;
  std::string_view app = {};
  std::string_view channel = {};
  // Whether the path is one that takes events, whatever the method: its body has a limit of its own.
  bool takes_events = false;
};

// `path` is where the path is decoded to; app and channel are slices of it. other: also what is malformed or has
// characters beyond ASCII, and methods that a route does not answer.
Routed find_route(boost::beast::http::verb method, const HttpTarget& target, std::string& path);

}  // namespace polyglot::server
