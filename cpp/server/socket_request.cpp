#include "server/socket_request.hpp"

#include <boost/beast/core/detail/base64.hpp>
#include <boost/beast/core/detail/base64.ipp>
#include <optional>
#include <ostream>  // Boost 1.74 forgets it

#include "core/channel.hpp"
#include "core/json_text.hpp"
#include "core/utf8.hpp"
#include "server/http_text.hpp"
#include "server/websocket_frame.hpp"

namespace polyglot::server {
namespace {

namespace base64 = boost::beast::detail::base64;
using core::Code;
using core::Status;

constexpr std::string_view kTokenProtocol = "base64url.bearer.phx.";

// The token that the phoenix client puts among the protocols, in base64url, mostly without padding (RFC 4648 §5).
std::optional<std::string> token_of_protocols(std::string_view protocols) {
  const std::size_t at = protocols.find(kTokenProtocol);
  if (at == std::string_view::npos) return std::string();
  std::string text(protocols.substr(at + kTokenProtocol.size()));
  text.resize(std::min(text.find_first_of(", "), text.size()));
  text.resize(text.find_last_not_of('=') + 1);
  for (char& c : text) c = c == '-' ? '+' : c == '_' ? '/' : c;
  std::string token(base64::decoded_size(text.size()) + 3, '\0');
  const auto [written, read] = base64::decode(token.data(), text.data(), text.size());
  if (read != text.size()) return std::nullopt;
  token.resize(written);
  return token;
}

bool has_protocol(std::string_view protocols, std::string_view wanted) {
  while (!protocols.empty()) {
    const std::size_t comma = std::min(protocols.find(','), protocols.size());
    std::string_view one = protocols.substr(0, comma);
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    if (one == wanted) return true;
    protocols.remove_prefix(std::min(comma + 1, protocols.size()));
  }
  return false;
}

// The host of `host:port`, without the port; an IPv6 address with its brackets.
std::string_view host_of(std::string_view authority) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return authority.substr(0, colon);
}

bool is_of_this_machine(std::string_view host) {
  return equal_ignoring_case(host, "localhost") || host == "127.0.0.1" || host == "[::1]";
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  out.append(out.size() > 1 ? "," : "");
  core::append_json_string(out, name);
  out.push_back(':');
  core::append_json_string(out, value);
}

}  // namespace

core::Result<std::string> params_json(const Query& parameters, std::string_view credential) {
  std::string json = "{";
  for (const auto& [name, value] : parameters) {
    if (!core::check_utf8(name).ok() || !core::check_utf8(value).ok()) {
      return Status(Code::invalid_parameter, "The query is not UTF-8.");
    }
    if (name != credential) append_member(json, name, value);
  }
  return json += '}';
}

core::Result<SocketRequest> parse_socket_request(const HttpRequest& request, std::string_view query) {
  const auto parameters = parse_query(query);
  if (!parameters) return Status(Code::invalid_parameter, "The query has a malformed percent-encoding.");
  SocketRequest socket;
  std::string credential;
  std::string vsn = "2.0.0";
  auto params = params_json(*parameters, "token");
  if (!params.ok()) return params.status();
  socket.params = std::move(params).value();
  for (const auto& [name, value] : *parameters) {
    if (name == "app_id") socket.identity.app = value;
    if (name == "vsn") vsn = value;
    if (name == "token") credential = value;
  }
  if (vsn.compare(0, 2, "2.") != 0) {
    std::string message = "vsn is ";
    core::append_json_string(message, vsn);
    return Status(Code::invalid_parameter, message + "; allowed is 2.0.0, of Phoenix Channels.");
  }
  if (socket.identity.app.empty()) {
    return Status(Code::invalid_parameter, "The parameter app_id is missing; it names the app.");
  }
  if (Status status = core::check_app(socket.identity.app); !status.ok()) return status;

  auto protocol_token = token_of_protocols(request.value(Field::websocket_protocol));
  if (!protocol_token) return Status(Code::invalid_parameter, "The token in Sec-WebSocket-Protocol is not base64url.");
  if (protocol_token->empty()) *protocol_token = request.value(Field::phoenix_token);
  const std::string_view bearer = bearer_token(request.value(Field::authorization));
  if (request.has(Field::api_key)) {
    socket.identity.api_key = request.value(Field::api_key);
  } else if (!bearer.empty()) {
    socket.token = bearer;
  } else {
    if (!protocol_token->empty()) credential = std::move(*protocol_token);
    (looks_like_token(credential) ? socket.token : socket.identity.api_key) = credential;
  }
  return socket;
}

Status check_origin(const HttpRequest& request, const std::vector<std::string>& origins, bool local_pages) {
  if (!request.has(Field::origin)) return {};
  const std::string_view origin = request.value(Field::origin);
  bool allowed = false;
  for (const std::string& known : origins) allowed |= known == "*" || equal_ignoring_case(known, origin);
  if (const std::size_t scheme = origin.find("://"); scheme != std::string_view::npos) {
    const std::string_view host = host_of(origin.substr(scheme + 3));
    allowed |= local_pages && is_of_this_machine(host);
    allowed |= !host.empty() && equal_ignoring_case(host, host_of(request.value(Field::host)));
  }
  if (allowed && !request.repeated(Field::origin)) return {};
  std::string message = "Pages of ";
  core::append_json_string(message, origin);
  return {Code::forbidden, message + " may not open sockets here; the setting cors_origins lists those that may."};
}

Status check_handshake(const HttpRequest& request, SocketRequest& socket) {
  if (!request.upgrades() || !equal_ignoring_case(request.value(Field::upgrade), "websocket")) {
    return {Code::invalid_request, "This is where WebSockets open; send Upgrade: websocket and Connection: Upgrade."};
  }
  if (request.value(Field::websocket_version) != "13") {
    return {Code::invalid_request, "Sec-WebSocket-Version must be 13."};
  }
  if (!valid_client_key(request.value(Field::websocket_key)) || request.repeated(Field::websocket_key)) {
    return {Code::invalid_request, "Sec-WebSocket-Key must be 16 bytes in base64."};
  }
  socket.accept = accept_key(request.value(Field::websocket_key));
  if (has_protocol(request.value(Field::websocket_protocol), "phoenix")) socket.protocol = "phoenix";
  return {};
}

std::string handshake_reply(const SocketRequest& socket, std::string_view request_id) {
  std::string reply = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  reply.append("Sec-WebSocket-Accept: ").append(socket.accept).append("\r\n");
  if (!socket.protocol.empty()) reply.append("Sec-WebSocket-Protocol: ").append(socket.protocol).append("\r\n");
  return reply.append("X-Request-ID: ").append(request_id).append("\r\n\r\n");
}

}  // namespace polyglot::server
