#include "server/routes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace polyglot::server {
namespace {

using Verb = boost::beast::http::verb;

struct Found {
  Route route;
  std::string app;
  std::string channel;
  bool takes_events;

  bool operator==(const Found&) const = default;
};

void PrintTo(const Found& found, std::ostream* out) {
  *out << static_cast<int>(found.route) << " " << found.app << " " << found.channel << " " << found.takes_events;
}

Found find(Verb method, std::string_view target) {
  std::string path = "what was there before";
  const Routed routed = find_route(method, HttpTarget::parse(target), path);
  return {routed.route, std::string(routed.app), std::string(routed.channel), routed.takes_events};
}

Route route_of(Verb method, std::string_view target) {
  return find(method, target).route;
}

struct OfChannel {
  std::string_view path;
  Route route;
  std::string_view channel;
};

// As in tests/unit/gateway/test_router.py. A channel without an action is answered by the application.
constexpr OfChannel kOfChannel[] = {
    {"/apps/a/channels/room:1/history", Route::history, "room:1"},
    {"/apps/a/channels/room%3A1/history", Route::history, "room:1"},
    {"/apps/a/channels/x@y,z;=~./history", Route::history, "x@y,z;=~."},
    {"/apps/a/channels/x%40y%2Cz%3B%3D/history", Route::history, "x@y,z;="},
    {"/apps/a/channels/a/b/c/history", Route::history, "a/b/c"},
    {"/apps/a/channels/a%2Fb%2fc/history", Route::history, "a/b/c"},
    {"/apps/a/channels/channels/history", Route::history, "channels"},
    {"/apps/a/channels/a/channels/b/history", Route::history, "a/channels/b"},
    {"/apps/a/channels/history/history", Route::history, "history"},
    {"/apps/a/channels/a%2Fhistory/history", Route::history, "a/history"},
    {"/apps/a/channels/a%252Fb/history", Route::history, "a%2Fb"},
    {"/apps/a/channels/room/history?since=%2F", Route::history, "room"},
    {"/%61pps/a/ch%61nnels/room/%68istory", Route::history, "room"},
    {"http://example.org/apps/a/channels/room/history", Route::history, "room"},
};

TEST(FindRoute, TakesChannelsWithSlashesInTheirNames) {
  for (const OfChannel& each : kOfChannel) {
    EXPECT_EQ(find(Verb::get, each.path), (Found{each.route, "a", std::string(each.channel), false})) << each.path;
  }
}

TEST(FindRoute, LeavesChannelsWithoutAnActionToTheApplication) {
  for (const std::string_view path :
       {"/apps/a/channels/history", "/apps/a/channels/a%2Fhistory", "/apps/a/channels/a/b%2Fhistory",
        "/apps/a/channels/a%2fhistory", "/apps/a/channels/a%2Fb", "/apps/a/channels/a/b", "/apps/a/channels/a/",
        "/apps/a/channels/", "/apps/a/channels//history", "/apps/a/channels", "/apps/a/channels/room/HISTORY",
        "/apps/a/channels/room/history/"}) {
    EXPECT_EQ(route_of(Verb::get, path), Route::other) << path;
  }
}

TEST(FindRoute, KnowsEveryRouteByItsPathAndMethods) {
  struct Known {
    std::string_view path;
    Route route;
    std::vector<Verb> methods;
  };
  const Known known[] = {
      {"/apps/a/channels/room/publish", Route::publish, {Verb::post}},
      {"/apps/a/publish", Route::batch, {Verb::post}},
      {"/apps/a/broadcast", Route::broadcast, {Verb::post}},
      {"/apps/a/channels/room/history", Route::history, {Verb::get, Verb::head}},
      {"/apps/a/channels/room/presence", Route::presence, {Verb::get, Verb::head}},
      {"/apps/a/channels/room/events", Route::events, {Verb::get}},
      {"/alive", Route::alive, {Verb::get, Verb::head}},
      {"/ready", Route::ready, {Verb::get, Verb::head}},
      {"/socket/websocket", Route::websocket, {Verb::get}},
      {"/socket/longpoll", Route::longpoll, {Verb::get, Verb::post}},
  };
  for (const Known& each : known) {
    for (const Verb method : {Verb::get, Verb::head, Verb::post, Verb::put, Verb::delete_, Verb::options, Verb::patch,
                              Verb::connect, Verb::trace, Verb::unknown}) {
      const bool answered = std::find(each.methods.begin(), each.methods.end(), method) != each.methods.end();
      EXPECT_EQ(route_of(method, each.path), answered ? each.route : Route::other) << method << each.path;
      EXPECT_EQ(route_of(method, std::string(each.path) + "?a=/b"), answered ? each.route : Route::other);
    }
  }
}

TEST(FindRoute, NamesTheAppAndTheChannel) {
  EXPECT_EQ(find(Verb::post, "/apps/a/channels/room/publish"), (Found{Route::publish, "a", "room", true}));
  EXPECT_EQ(find(Verb::post, "/apps/a/publish"), (Found{Route::batch, "a", "", true}));
  EXPECT_EQ(find(Verb::post, "/apps/a/broadcast"), (Found{Route::broadcast, "a", "", true}));
  EXPECT_EQ(find(Verb::post, "/apps/channels/publish"), (Found{Route::batch, "channels", "", true}));
  EXPECT_EQ(find(Verb::get, "/alive"), (Found{Route::alive, "", "", false}));
}

TEST(FindRoute, SaysWhichPathsTakeEventsWhateverTheMethod) {
  for (const std::string_view path : {"/apps/a/channels/b/publish", "/apps/a/publish", "/apps/a/broadcast"}) {
    EXPECT_TRUE(find(Verb::put, path).takes_events) << path;
  }
  for (const std::string_view path : {"/apps/a/channels/b/history", "/socket/longpoll", "/publish", "/apps/publish"}) {
    EXPECT_FALSE(find(Verb::post, path).takes_events) << path;
  }
}

TEST(FindRoute, LeavesAllElseToTheApplication) {
  for (const Verb method : {Verb::get, Verb::post}) {
    for (const std::string_view path :
         {"/", "", "*", "/apps", "/apps/", "/apps/a", "/apps/a/b/channels/room/history", "/apps/a%2Fb/publish",
          "/apps//publish", "/apps//channels/room/history", "/apps//nothing", "/alive/", "/ALIVE", "//alive", "/socket",
          "/socket/websocket/", "/apps/a/publish/", "/apps/a/channels/room/nothing", "/health"}) {
      EXPECT_EQ(route_of(method, path), Route::other) << path;
      EXPECT_FALSE(find(method, path).takes_events) << path;
    }
  }
}

TEST(FindRoute, LeavesWhatIsMalformedToTheApplication) {
  for (const std::string_view path :
       {"/apps/a/channels/%/history", "/apps/a/channels/%zz/history", "/alive%", "/apps/a/channels/r\xC3\xA9/history",
        "/apps/a/channels/%C3%A9/history", "/apps/a/channels/%00/history", "/apps/a/channels/a%0Ab/history",
        "/apps/a/channels/%7F/history"}) {
    EXPECT_EQ(find(Verb::get, path), (Found{Route::other, "", "", false})) << path;
  }
}

}  // namespace
}  // namespace polyglot::server
