#include "server/routes.hpp"

#include <algorithm>
#include <cctype>

namespace polyglot::server {
namespace {

using Verb = boost::beast::http::verb;

constexpr std::string_view kApps = "/apps/";
constexpr std::string_view kChannels = "/channels/";

Route route_of_path(std::string_view path) {
  if (path == "/alive") return Route::alive;
  if (path == "/ready") return Route::ready;
  if (path == "/socket/websocket") return Route::websocket;
  if (path == "/socket/longpoll") return Route::longpoll;
  return Route::other;
}

Route route_of_action(std::string_view action) {
  if (action == "publish") return Route::publish;
  if (action == "history") return Route::history;
  if (action == "events") return Route::events;
  if (action == "presence") return Route::presence;
  return Route::other;
}

// Whether the last slash of the path was sent as an escape.
bool ends_in_escaped_slash(std::string_view raw) {
  const std::string_view last = raw.substr(std::min(raw.rfind('/') + 1, raw.size()));
  for (std::size_t i = last.find("%2"); i != std::string_view::npos; i = last.find("%2", i + 1)) {
    if (i + 2 < last.size() && (last[i + 2] == 'F' || last[i + 2] == 'f')) return true;
  }
  return false;
}

bool answers(Route route, Verb method) {
  switch (route) {
    case Route::publish:
    case Route::batch:
    case Route::broadcast:
      return method == Verb::post;
    case Route::history:
    case Route::presence:
    case Route::alive:
    case Route::ready:
      return method == Verb::get || method == Verb::head;
    case Route::events:
    case Route::websocket:
      return method == Verb::get;
    case Route::longpoll:
      return method == Verb::get || method == Verb::post;
    case Route::other:
      break;
  }
  return false;
}

Routed route_of_app(std::string_view path, std::string_view raw) {
  std::string_view rest = path.substr(kApps.size());
  const std::size_t slash = rest.find('/');
  if (slash == 0 || slash == std::string_view::npos) return {};
  const std::string_view app = rest.substr(0, slash);
  rest.remove_prefix(slash);
  if (rest == "/publish") return {Route::batch, app};
  if (rest == "/broadcast") return {Route::broadcast, app};
  if (rest.substr(0, kChannels.size()) != kChannels) return {};
  rest.remove_prefix(kChannels.size());
  const std::size_t last = rest.rfind('/');
  if (last == 0 || last == std::string_view::npos || ends_in_escaped_slash(raw)) return {};
  return {route_of_action(rest.substr(last + 1)), app, rest.substr(0, last)};
}

}  // namespace

Routed find_route(Verb method, const HttpTarget& target, std::string& path) {
  path.clear();
  if (!percent_decode(path, target.path) || !is_plain(path)) return {};
  Routed found;
  if (path.compare(0, kApps.size(), kApps) == 0) {
    found = route_of_app(path, target.path);
  } else {
    found.route = route_of_path(path);
  }
  found.takes_events = found.route == Route::publish || found.route == Route::batch || found.route == Route::broadcast;
  if (!answers(found.route, method)) found.route = Route::other;
  return found;
}

}  // namespace polyglot::server
