// SocketRequest: the request that opens a Phoenix socket: its handshake (RFC 6455 §4.2), and who asks.
//
// Credentials are looked for in this order: the field X-API-Key, a bearer token in Authorization, the token in
// Sec-WebSocket-Protocol or X-Phoenix-AuthToken (the `authToken` of the phoenix client), and the parameter `token`,
// which may be a key or a token.
//
// Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"
#include "server/http_request.hpp"
#include "server/http_target.hpp"
#include "server/identity.hpp"

namespace polyglot::server {

struct SocketRequest {
  Identity identity;     // without a grant yet
  std::string token;     // a bearer token, for Python to decide on; empty without one
  std::string params;    // of the query, as a JSON object, without the token
  std::string accept;    // Sec-WebSocket-Accept; empty for a transport without a handshake
  std::string protocol;  // Sec-WebSocket-Protocol to answer with; empty for none
};

// What the request's query and fields say. invalid_parameter: the query is malformed, app_id is missing, or vsn is not
// one that is spoken here. invalid_app as core::check_app.
core::Result<SocketRequest> parse_socket_request(const HttpRequest& request, std::string_view query);

// A query's parameters as a JSON object, but for the one that is the credential; invalid_parameter: they are not UTF-8.
core::Result<std::string> params_json(const Query& parameters, std::string_view credential);

// Whether the page that asks may open a socket: browsers let any page do so, wherever it is from, and say where that is
// in Origin. Allowed are the pages of the host that was asked, on any port, those of `origins` ("*": all), and with
// `local_pages` those of this machine. A client that is no browser sends no Origin. forbidden: it may not.
core::Status check_origin(const HttpRequest& request, const std::vector<std::string>& origins, bool local_pages);

// The handshake, into `socket`. invalid_request: the request does not ask for WebSocket as version 13 wants it.
core::Status check_handshake(const HttpRequest& request, SocketRequest& socket);

// The answer that completes it, up to and with its empty line.
std::string handshake_reply(const SocketRequest& socket, std::string_view request_id);

}  // namespace polyglot::server
