#include "server/socket_request.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace polyglot::server {
namespace {

using core::Code;

constexpr std::string_view kApp = "app_id=app";
// Of RFC 6455 §1.3.
constexpr std::string_view kKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
constexpr std::string_view kUpgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
constexpr std::string_view kVersion = "Sec-WebSocket-Version: 13\r\n";

// A request with these fields behind Host, and the bytes that it is slices of.
struct Request {
  explicit Request(const std::string& fields = {}) : bytes("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n") {
    EXPECT_EQ(http.parse_head(bytes), HttpRequest::Progress::done) << http.status().message();
    http.at(bytes.data());
  }
  std::string bytes;
  HttpRequest http;
};

SocketRequest parse(std::string_view query, const std::string& fields = {}) {
  const Request request(fields);
  auto parsed = parse_socket_request(request.http, query);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() ? std::move(parsed).value() : SocketRequest{};
}

Code refused(std::string_view query, const std::string& fields = {}) {
  const Request request(fields);
  const auto parsed = parse_socket_request(request.http, query);
  if (parsed.ok()) return Code::ok;
  EXPECT_FALSE(parsed.status().message().empty());
  return parsed.status().code();
}

// As the phoenix client sends its authToken.
std::string protocols(std::string_view base64url) {
  return "Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx." + std::string(base64url) + "\r\n";
}

TEST(ParseSocketRequest, TellsTheAppFromAllElseInTheQuery) {
  const SocketRequest socket = parse("vsn=2.0.0&app_id=app&user=J%C3%BCrgen+%22&token=k&user=b");
  EXPECT_EQ(socket.identity.app, "app");
  EXPECT_EQ(socket.identity.grant, nullptr);
  EXPECT_EQ(socket.params, R"({"vsn":"2.0.0","app_id":"app","user":"Jürgen \"","user":"b"})");
  EXPECT_EQ(parse(kApp).params, R"({"app_id":"app"})");
}

TEST(ParseSocketRequest, TakesAKeyOrATokenFromTheQuery) {
  EXPECT_EQ(parse("app_id=app&token=key").identity.api_key, "key");
  EXPECT_EQ(parse("app_id=app&token=key").token, "");
  EXPECT_EQ(parse("app_id=app&token=a.b.c").token, "a.b.c");
  EXPECT_EQ(parse("app_id=app&token=a.b.c").identity.api_key, "");
  EXPECT_EQ(parse(kApp).identity.api_key + parse(kApp).token, "");
}

TEST(ParseSocketRequest, LooksForCredentialsInTheirOrder) {
  const std::string key = "X-API-Key: key\r\n";
  const std::string bearer = "Authorization: Bearer bearer\r\n";
  const std::string in_protocols = protocols("cHJvdG9jb2w");  // "protocol"
  const std::string of_phoenix = "X-Phoenix-AuthToken: phoenix\r\n";
  const std::string query = "app_id=app&token=query";

  SocketRequest socket = parse(query, of_phoenix + in_protocols + bearer + key);
  EXPECT_EQ(socket.identity.api_key, "key");
  EXPECT_EQ(socket.token, "");
  socket = parse(query, of_phoenix + in_protocols + bearer);
  EXPECT_EQ(socket.identity.api_key, "");
  EXPECT_EQ(socket.token, "bearer");
  EXPECT_EQ(parse(query, of_phoenix + in_protocols).identity.api_key, "protocol");
  EXPECT_EQ(parse(query, of_phoenix).identity.api_key, "phoenix");
  EXPECT_EQ(parse(query).identity.api_key, "query");
  EXPECT_EQ(parse(query, "X-Phoenix-AuthToken: a.b.c\r\n").token, "a.b.c");
}

TEST(ParseSocketRequest, DecodesTheTokenAmongTheProtocols) {
  EXPECT_EQ(parse(kApp, protocols("YS5iLmM")).token, "a.b.c");
  EXPECT_EQ(parse(kApp, protocols("YS5iLmM=")).token, "a.b.c");
  // What is + and / in base64 is - and _ in base64url.
  EXPECT_EQ(parse(kApp, protocols("Pj4-Pz8_")).identity.api_key, ">>>???");
  EXPECT_EQ(parse(kApp, protocols("YS5iLmM, other")).token, "a.b.c");
  EXPECT_EQ(parse(kApp, "Sec-WebSocket-Protocol: phoenix\r\n").token, "");
  EXPECT_EQ(refused(kApp, protocols("YS5i!mM")), Code::invalid_parameter);
}

TEST(ParseSocketRequest, RefusesWhatItCannotServe) {
  EXPECT_EQ(refused(""), Code::invalid_parameter);
  EXPECT_EQ(refused("app_id="), Code::invalid_parameter);
  EXPECT_EQ(refused("app_id=no%20app"), Code::invalid_app);
  EXPECT_EQ(refused("app_id=app&vsn=1.0.0"), Code::invalid_parameter);
  EXPECT_EQ(refused("app_id=app&vsn="), Code::invalid_parameter);
  EXPECT_EQ(refused("app_id=app&vsn=2.1.0"), Code::ok);
  EXPECT_EQ(refused("app_id=app&a=%zz"), Code::invalid_parameter);
  EXPECT_EQ(refused("app_id=app&a=%ff"), Code::invalid_parameter);
  EXPECT_EQ(refused("app_id=app&%ff=a"), Code::invalid_parameter);
}

Code origin_code(const std::string& fields, const std::vector<std::string>& origins = {}, bool local_pages = false) {
  const Request request(fields);
  return check_origin(request.http, origins, local_pages).code();
}

TEST(CheckOrigin, LetsInWhoIsNoBrowserAndPagesOfTheSameHost) {
  EXPECT_EQ(origin_code(""), Code::ok);
  for (const std::string_view same : {"https://a", "http://a", "http://A", "http://a:3000"}) {
    EXPECT_EQ(origin_code("Origin: " + std::string(same) + "\r\n"), Code::ok) << same;
  }
}

TEST(CheckOrigin, KeepsPagesOfOtherHostsOut) {
  for (const std::string_view other :
       {"https://evil.example", "https://a.evil.example", "https://evil-a", "null", "", "a", "//a", "https://",
        "https://b:a", "https://a@evil.example", "http://localhost:3000", "https://known.example.evil.example"}) {
    EXPECT_EQ(origin_code("Origin: " + std::string(other) + "\r\n", {"https://known.example"}), Code::forbidden)
        << other;
  }
  EXPECT_EQ(origin_code("Origin: https://a\r\nOrigin: https://evil.example\r\n"), Code::forbidden);
  EXPECT_EQ(origin_code("Origin: https://evil.example\r\nOrigin: https://a\r\n"), Code::forbidden);
}

TEST(CheckOrigin, LetsInTheOriginsThatAreListed) {
  EXPECT_EQ(origin_code("Origin: https://Known.example\r\n", {"https://known.example"}), Code::ok);
  EXPECT_EQ(origin_code("Origin: http://known.example\r\n", {"https://known.example"}), Code::forbidden);
  EXPECT_EQ(origin_code("Origin: https://known.example:444\r\n", {"https://known.example"}), Code::forbidden);
  for (const std::string_view any : {"https://evil.example", "null"}) {
    EXPECT_EQ(origin_code("Origin: " + std::string(any) + "\r\n", {"*"}), Code::ok);
  }
}

TEST(CheckOrigin, LetsInPagesOfThisMachineWhereThatIsWanted) {
  for (const std::string_view local : {"http://localhost:3000", "http://127.0.0.1", "http://[::1]:80"}) {
    EXPECT_EQ(origin_code("Origin: " + std::string(local) + "\r\n", {}, true), Code::ok) << local;
    EXPECT_EQ(origin_code("Origin: " + std::string(local) + "\r\n"), Code::forbidden) << local;
  }
  EXPECT_EQ(origin_code("Origin: http://localhost.evil.example\r\n", {}, true), Code::forbidden);
}

core::Status handshake(const std::string& fields, SocketRequest& socket) {
  const Request request(fields);
  return check_handshake(request.http, socket);
}

Code handshake_code(const std::string& fields) {
  SocketRequest socket;
  return handshake(fields, socket).code();
}

std::string joined(std::initializer_list<std::string_view> fields) {
  std::string all;
  for (const std::string_view field : fields) all.append(field);
  return all;
}

TEST(CheckHandshake, AnswersTheExampleOfTheRfc) {
  SocketRequest socket;
  ASSERT_TRUE(handshake(joined({kUpgrade, kVersion, kKey}), socket).ok());
  EXPECT_EQ(socket.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_EQ(socket.protocol, "");
  EXPECT_EQ(handshake_reply(socket, "one"),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Request-ID: one\r\n\r\n");
}

TEST(CheckHandshake, ChoosesTheProtocolPhoenixOnly) {
  const auto chosen = [](std::string_view protocol) {
    SocketRequest socket;
    EXPECT_TRUE(
        handshake(joined({kUpgrade, kVersion, kKey, "Sec-WebSocket-Protocol: ", protocol, "\r\n"}), socket).ok());
    return socket.protocol;
  };
  EXPECT_EQ(chosen("phoenix"), "phoenix");
  EXPECT_EQ(chosen("other ,  phoenix,base64url.bearer.phx.YS5iLmM"), "phoenix");
  EXPECT_EQ(chosen("phoenix2, other"), "");
  SocketRequest socket;
  socket.protocol = "phoenix";
  EXPECT_NE(handshake_reply(socket, "one").find("\r\nSec-WebSocket-Protocol: phoenix\r\n"), std::string::npos);
}

TEST(CheckHandshake, RefusesWhatIsNoHandshake) {
  EXPECT_EQ(handshake_code(joined({kUpgrade, kVersion, kKey})), Code::ok);
  EXPECT_EQ(handshake_code(joined({"Upgrade: WebSocket\r\nConnection: upgrade\r\n", kVersion, kKey})), Code::ok);
  for (const std::string& fields :
       {joined({}), joined({kVersion, kKey}), joined({"Upgrade: websocket\r\n", kVersion, kKey}),
        joined({"Connection: Upgrade\r\n", kVersion, kKey}),
        joined({"Upgrade: h2c\r\nConnection: Upgrade\r\n", kVersion, kKey}), joined({kUpgrade, kKey}),
        joined({kUpgrade, "Sec-WebSocket-Version: 8\r\n", kKey}), joined({kUpgrade, kVersion}),
        joined({kUpgrade, kVersion, "Sec-WebSocket-Key: short\r\n"}), joined({kUpgrade, kVersion, kKey, kKey})}) {
    EXPECT_EQ(handshake_code(fields), Code::invalid_request) << fields;
  }
}

}  // namespace
}  // namespace polyglot::server
