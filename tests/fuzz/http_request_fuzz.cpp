// Any bytes as a request: its head means the same however it comes and however it is written again, nothing passes that
// another reader may take for something else, and a chunked body is the same in any pieces. Then the target, as it was
// read and as any bytes. The first byte is the limit of a body in 4 bytes, the next four are the sizes of the pieces,
// taken in turn.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.hpp"
#include "require.hpp"
#include "server/http_request.hpp"
#include "server/http_target.hpp"
#include "server/routes.hpp"

namespace polyglot::server {
namespace {

using core::require;
using Progress = HttpRequest::Progress;
using Sizes = std::span<const std::uint8_t>;
using Verb = HttpRequest::Verb;

constexpr std::size_t kControl = 5;
constexpr auto kNpos = std::string_view::npos;

void check_refused(const core::Status& status) {
  require(!status.ok() && !status.message().empty(), "a refusal has a reason");
  require(core::check_json(core::problem_json(status)).ok(), "and is told in JSON");
}

void check_same(const HttpRequest& a, const HttpRequest& b) {
  require(a.method() == b.method() && a.method_text() == b.method_text(), "the same method");
  require(a.target() == b.target() && a.version() == b.version(), "the same request line");
  require(a.content_length() == b.content_length() && a.has_chunked_body() == b.has_chunked_body(), "the same body");
  require(a.keep_alive() == b.keep_alive() && a.upgrades() == b.upgrades(), "the same connection");
  for (std::size_t i = 0; i < kKnownFields; ++i) {
    const auto field = static_cast<Field>(i);
    require(a.has(field) == b.has(field) && a.repeated(field) == b.repeated(field) && a.value(field) == b.value(field),
            "the same fields");
  }
}

// What the rules against smuggling say of the bytes themselves.
void check_head(std::string_view head, const HttpRequest& request) {
  require(head.ends_with("\r\n\r\n") && head.find("\r\n\r\n") == head.size() - 4, "a head ends with its empty line");
  for (std::size_t at = head.find_first_of("\r\n"); at != kNpos; at = head.find_first_of("\r\n", at + 2)) {
    require(head.substr(at, 2) == "\r\n", "lines end in CRLF");
    require(at + 2 == head.size() || (head[at + 2] != ' ' && head[at + 2] != '\t'), "no field is folded");
  }
  require(head.find('\0') == kNpos, "there is no NUL");
  require(!request.has(Field::content_length) || !request.has(Field::transfer_encoding), "a body has one length");
  require(request.has_chunked_body() == request.has(Field::transfer_encoding), "the only coding is chunked");
  require(!request.repeated(Field::content_length) && !request.repeated(Field::transfer_encoding), "said once");
  require(!request.has_chunked_body() || request.version() == 11, "there are no chunks in HTTP/1.0");
  require(!request.repeated(Field::host) && (request.version() == 10 || request.has(Field::host)), "there is one Host");
}

// The head as its parts say it.
std::string written(const HttpHead& head) {
  std::string out(head.text(head.method));
  out.append(" ").append(head.text(head.target)).append(head.version == 11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  for (const auto& [name, value] : head.fields) {
    require(head.text(name).find_first_of(" \t:") == kNpos, "a name is a token");
    out.append(head.text(name)).append(": ").append(head.text(value)).append("\r\n");
  }
  return out.append("\r\n");
}

struct Body {
  Progress progress = Progress::more;
  core::Code code = core::Code::ok;
  std::string text = {};
  std::string rest = {};

  bool operator==(const Body&) const = default;
};

// Feeds pieces of these sizes, again and again; 0 is all that is left. What was not taken comes again with the next
// one, from another place.
Body read_chunks(std::string_view head, std::string_view bytes, Sizes sizes, std::size_t limit) {
  HttpRequest request;
  require(request.parse_head(head) == Progress::done, "a head is whole by itself");
  Body body;
  for (std::size_t i = 0; !bytes.empty() && body.progress == Progress::more; ++i) {
    const std::size_t wanted = sizes[i % sizes.size()];
    const std::size_t size = wanted == 0 ? bytes.size() : std::min(wanted, bytes.size());
    body.rest.append(bytes.substr(0, size));
    bytes.remove_prefix(size);
    const std::vector<char> place(body.rest.begin(), body.rest.end());
    std::string_view rest(place.data(), place.size());
    body.progress = request.parse_chunks(rest, limit);
    body.rest = rest;
    require(request.chunked_body().size() <= limit, "a body keeps its limit");
  }
  body.text = request.chunked_body();
  body.code = request.status().code();
  body.rest.append(bytes);
  if (body.progress == Progress::failed) {
    check_refused(request.status());
    body.text.clear();  // how much of it had come depends on the pieces
    body.rest.clear();
  }
  return body;
}

void check_chunks(std::string_view head, std::string_view bytes, Sizes sizes, std::size_t limit) {
  constexpr std::array<std::uint8_t, 1> kWhole = {0};
  constexpr std::array<std::uint8_t, 1> kByteByByte = {1};
  const Body whole = read_chunks(head, bytes, kWhole, limit);
  require(read_chunks(head, bytes, kByteByByte, limit) == whole, "byte by byte it is the same body");
  require(read_chunks(head, bytes, sizes, limit) == whole, "in pieces it is the same body");
  if (whole.progress != Progress::done) return;
  char size[20];
  std::snprintf(size, sizeof(size), "%zx\r\n", whole.text.size());
  const std::string again = whole.text.empty() ? "0\r\n\r\n" : size + whole.text + "\r\n0\r\n\r\n";
  require(read_chunks(head, again + whole.rest, kWhole, limit) == whole, "in one chunk it is the same body");
}

// `changed` is the head with some byte changed. What is taken for the same head is what it would be by itself.
void check_repeats(std::string_view head, std::string_view changed) {
  HttpRequest request;
  require(request.parse_head(head) == Progress::done, "a head is whole by itself");
  HttpRequest fresh;
  const Progress progress = fresh.parse_head(changed);
  if (request.repeats(head, changed)) {
    require(progress == Progress::done && fresh.head_size() == head.size(), "what repeats a head is one");
    check_same(request, fresh);
  } else {
    require(changed != head, "a head repeats itself");
  }
}

void check_target(std::string_view text) {
  const HttpTarget target = HttpTarget::parse(text);
  require(target.path.find_first_of("?#") == kNpos && target.query.find('#') == kNpos, "path and query are told apart");
  std::string path;
  for (const Verb method : {Verb::get, Verb::post, Verb::put, Verb::unknown}) {
    const Routed routed = find_route(method, target, path);
    require(routed.route == Route::other || is_plain(path), "a route has a plain path");
    require(path.size() <= target.path.size(), "decoding makes nothing longer");
    for (const std::string_view part : {routed.app, routed.channel}) {
      require(part.empty() || (part.data() >= path.data() && part.data() + part.size() <= path.data() + path.size()),
              "app and channel are slices of the path");
    }
    require(routed.app.find('/') == kNpos, "an app is one segment");
  }
  const auto query = parse_query(target.query);
  if (!query) return;
  std::string again;
  for (const auto& [name, value] : query.value()) {
    for (const std::string* part : {&name, &value}) {
      for (const char c : *part) {
        char escape[4];
        std::snprintf(escape, sizeof(escape), "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
        again.append(escape);
      }
      again.push_back(part == &name ? '=' : '&');
    }
  }
  require(parse_query(again) == query, "a query can be written again");
}

}  // namespace
}  // namespace polyglot::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace polyglot::server;
  if (size < kControl) {
    return 0;
  }
  const Sizes sizes(data + 1, kControl - 1);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + kControl, size - kControl);
  check_target(bytes);

  HttpRequest request;
  const Progress progress = request.parse_head(bytes);
  for (std::size_t i = 0, end = sizes[0]; end < bytes.size() && i < 64; ++i, end += 1 + sizes[i % sizes.size()]) {
    HttpRequest part;
    const Progress of_part = part.parse_head(bytes.substr(0, end));
    require(of_part != Progress::failed || progress == Progress::failed, "what begins a request is not refused");
    require(of_part != Progress::done || (progress == Progress::done && part.head_size() == request.head_size()),
            "what follows a head does not change it");
  }
  if (progress == Progress::failed) {
    check_refused(request.status());
  }
  if (progress != Progress::done) {
    return 0;
  }
  const std::string_view head = bytes.substr(0, request.head_size());
  check_head(head, request);
  check_target(request.target());
  const std::string again = written(request.copy_head());
  HttpRequest other;
  require(other.parse_head(again) == Progress::done && other.head_size() == again.size(), "it can be written again");
  check_same(request, other);
  if (request.has_chunked_body()) {
    check_chunks(head, bytes.substr(head.size()), sizes, std::size_t{data[0]} * 4);
  } else {
    check_repeats(head, head);
    std::string changed(head);
    const std::string_view length = request.value(Field::content_length);
    const bool in_length = !length.empty() && data[1] % 2 == 0;
    const std::size_t first = in_length ? static_cast<std::size_t>(length.data() - head.data()) : 0;
    changed[first + data[2] % (in_length ? length.size() : head.size())] = static_cast<char>(data[3]);
    check_repeats(head, changed);
  }
  return 0;
}
