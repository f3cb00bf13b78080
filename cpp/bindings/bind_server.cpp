#include <pybind11/stl.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "bind_append_calls.hpp"
#include "bind_process_call.hpp"
#include "bindings.hpp"
#include "core/grant.hpp"
#include "server/http_target.hpp"
#include "server/news.hpp"
#include "server/server.hpp"

namespace polyglot::bindings {
namespace {

using server::ApplicationReply;

// A server, and the gateway that must outlive it.
class OpenServer {
 public:
  OpenServer(std::shared_ptr<core::Gateway> gateway, const server::ServerOptions& options)
      : gateway_(std::move(gateway)), server_(*gateway_, options) {}
  server::Server* operator->() { return &server_; }
  const std::shared_ptr<core::Gateway>& gateway() const { return gateway_; }

 private:
  std::shared_ptr<core::Gateway> gateway_;
  server::Server server_;
};

py::str latin1(std::string_view text) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeLatin1(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr));
}

py::str surrogate_escaped(std::string_view text) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

// A key of the WSGI environment, made once.
const py::str& key_of(const char* name) {
  // Kept for the life of the process, as the interpreter's own interned texts are.
  return *new py::str(py::reinterpret_steal<py::str>(PyUnicode_InternFromString(name)));
}

// HTTP_X_API_KEY for X-API-Key; empty for a name with an underscore, which could pass for another one.
std::string variable_of(std::string_view field) {
  if (field.find('_') != std::string_view::npos) return {};
  std::string name = "HTTP_";
  for (const char c : field) name.push_back(c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c);
  if (name == "HTTP_CONTENT_TYPE" || name == "HTTP_CONTENT_LENGTH") name.erase(0, 5);
  return name;
}

void put_fields(const server::HttpHead& head, py::dict& environ) {
  for (const auto& [name, value] : head.fields) {
    const std::string variable = variable_of(head.text(name));
    if (variable.empty()) continue;
    const py::str key(variable);
    py::str text = latin1(head.text(value));
    if (variable != "CONTENT_TYPE" && variable != "CONTENT_LENGTH" && environ.contains(key)) {
      text = environ[key].cast<py::str>() + py::str(",") + text;  // RFC 9110 §5.3
    }
    environ[key] = text;
  }
}

// The WSGI environment of a request (PEP 3333): what all have, in `base`, and its own.
py::dict environ_of(const server::ApplicationRequest& request, const py::dict& base) {
  static const py::handle bytes_io = py::object(py::module_::import("io").attr("BytesIO")).release();
  py::dict environ = py::reinterpret_steal<py::dict>(PyDict_Copy(base.ptr()));
  const server::HttpHead& head = request.head;
  const std::string_view raw = head.text(head.target);
  const server::HttpTarget target = server::HttpTarget::parse(raw);
  std::string path;
  if (!server::percent_decode(path, target.path)) {
    // Malformed escapes stay as they are, the others are decoded, as Python does it.
    path.clear();
    for (std::size_t i = 0; i < target.path.size(); ++i) {
      std::string one;
      if (target.path[i] == '%' && server::percent_decode(one, target.path.substr(i, 3)) && one.size() == 1) {
        path += one;
        i += 2;
      } else {
        path.push_back(target.path[i]);
      }
    }
  }
  static const py::str& method = key_of("REQUEST_METHOD");
  static const py::str& raw_uri = key_of("RAW_URI");
  static const py::str& path_info = key_of("PATH_INFO");
  static const py::str& query_string = key_of("QUERY_STRING");
  static const py::str& protocol = key_of("SERVER_PROTOCOL");
  static const py::str& http_10 = key_of("HTTP/1.0");
  static const py::str& http_11 = key_of("HTTP/1.1");
  static const py::str& remote_address = key_of("REMOTE_ADDR");
  static const py::str& remote_port = key_of("REMOTE_PORT");
  static const py::str& input = key_of("wsgi.input");
  static const py::str& scheme = key_of("wsgi.url_scheme");
  static const py::str& https = key_of("https");
  const auto put = [&environ](const py::str& key, const py::object& value) {
    PyDict_SetItem(environ.ptr(), key.ptr(), value.ptr());
  };
  put(method, latin1(head.text(head.method)));
  put(raw_uri, latin1(raw));
  put(path_info, latin1(path));
  put(query_string, latin1(target.query));
  put(protocol, head.version == 10 ? http_10 : http_11);
  put(remote_address, latin1(request.peer));
  if (!request.peer.empty()) put(remote_port, py::str(std::to_string(request.peer_port)));
  if (request.is_https) put(scheme, https);
  put(input, bytes_io(to_bytes(request.body)));
  put_fields(head, environ);
  return environ;
}

// ("request", id, environ) | ("question", id, {…}) | ("follow", id, (app, channel, since, epoch)) |
// ("unfollow", 0, (app, channel)) | ("room", id) | ("gone", id) | ("log", 0, (event, reason)) | ("presence", 0,
// message)
struct JobOf {
  std::uint64_t id;
  const py::dict& base;

  py::tuple operator()(const server::ApplicationRequest& request) const {
    return py::make_tuple("request", id, environ_of(request, base));
  }
  py::tuple operator()(const server::Question& question) const {
    constexpr const char* kKinds[] = {"connect", "join", "verify", "subscribe", "history"};
    py::dict headers;
    for (const auto& [name, value] : question.head.fields) {
      std::string key(question.head.text(name));
      for (char& c : key) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      headers[py::str(key)] = latin1(question.head.text(value));
    }
    py::dict asked;
    asked["kind"] = kKinds[static_cast<int>(question.kind)];
    asked["app"] = surrogate_escaped(question.app);
    asked["channel"] = surrogate_escaped(question.channel);
    asked["token"] = surrogate_escaped(question.token);
    asked["api_key"] = surrogate_escaped(question.api_key);
    asked["params"] = to_bytes(question.params);
    asked["source_ip"] = surrogate_escaped(question.source_ip);
    asked["headers"] = std::move(headers);
    return py::make_tuple("question", id, std::move(asked));
  }
  py::tuple operator()(const server::Follow& follow) const {
    return py::make_tuple("follow", id, py::make_tuple(follow.app, follow.channel, follow.since, follow.epoch));
  }
  py::tuple operator()(const server::Unfollow& channel) const {
    return py::make_tuple("unfollow", id, py::make_tuple(channel.app, channel.channel));
  }
  py::tuple operator()(const server::Room&) const { return py::make_tuple("room", id, py::none()); }
  py::tuple operator()(const server::Gone&) const { return py::make_tuple("gone", id, py::none()); }
  py::tuple operator()(const server::LogLine& line) const {
    py::dict told;
    const auto tell = [&told](const char* name, const std::string& value) {
      if (!value.empty()) told[name] = surrogate_escaped(value);
    };
    tell("event", line.event);
    tell("reason", line.reason);
    tell("code", line.code);
    tell("request_id", line.request_id);
    tell("trace_id", line.trace_id);
    if (line.held_back != 0) told["held_back"] = line.held_back;
    return py::make_tuple("log", 0, std::move(told));
  }
  py::tuple operator()(const server::Announcement& said) const {
    return py::make_tuple("presence", 0, to_bytes(said.message));
  }
};

// The bytes of a text whose characters are bytes (PEP 3333). ValueError for any other.
std::string_view bytes_of(const py::handle& text) {
  if (!PyUnicode_Check(text.ptr()) || PyUnicode_KIND(text.ptr()) != PyUnicode_1BYTE_KIND) {
    throw py::value_error("statuses and header fields are text of Latin-1");
  }
  return {reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(text.ptr())),
          static_cast<std::size_t>(PyUnicode_GET_LENGTH(text.ptr()))};
}

ApplicationReply reply_of(ApplicationReply::Part part, const py::str& status, const py::list& fields) {
  ApplicationReply reply;
  reply.part = part;
  if (!reply.set_status(bytes_of(status))) throw py::value_error("the status is none: it must be like 200 OK");
  for (const auto& field : fields) {
    const auto pair = py::reinterpret_borrow<py::tuple>(field);
    if (!PyTuple_Check(pair.ptr()) || pair.size() != 2) throw py::value_error("a header field is (name, value)");
    const std::string_view name = bytes_of(PyTuple_GET_ITEM(pair.ptr(), 0));
    if (!reply.add_field(name, bytes_of(PyTuple_GET_ITEM(pair.ptr(), 1)))) {
      throw py::value_error("the header field " + std::string(name) + " has characters that are not allowed");
    }
  }
  return reply;
}

void bind_replies(py::class_<OpenServer>& type) {
  using namespace py::literals;
  using Part = ApplicationReply::Part;
  const auto part = [](OpenServer& server, std::uint64_t id, Part which, std::string_view body = {}) {
    ApplicationReply reply;
    reply.part = which;
    reply.body = body;
    server->handoff().reply(id, std::move(reply));
  };
  type.def(
          "respond",
          [](OpenServer& server, std::uint64_t id, const py::str& status, const py::list& headers,
             const py::bytes& body) {
            ApplicationReply reply = reply_of(Part::whole, status, headers);
            reply.body = view_of(body);
            server->handoff().reply(id, std::move(reply));
          },
          "id"_a, "status"_a, "headers"_a, "body"_a)
      .def(
          "begin",
          [](OpenServer& server, std::uint64_t id, const py::str& status, const py::list& headers) {
            server->handoff().reply(id, reply_of(Part::begin, status, headers));
          },
          "id"_a, "status"_a, "headers"_a)
      .def(
          "send",
          [part](OpenServer& server, std::uint64_t id, const py::bytes& body) {
            part(server, id, Part::more, view_of(body));
          },
          "id"_a, "body"_a)
      .def(
          "end", [part](OpenServer& server, std::uint64_t id) { part(server, id, Part::end); }, "id"_a)
      .def(
          "abort", [part](OpenServer& server, std::uint64_t id) { part(server, id, Part::abort); }, "id"_a)
      .def(
          "decide",
          [](OpenServer& server, std::uint64_t id, std::shared_ptr<core::Grant> grant) {
            server->handoff().decide(id, {core::Status(), std::move(grant)});
          },
          "id"_a, "grant"_a)
      .def(
          "deny",
          [](OpenServer& server, std::uint64_t id, const std::string& code, const std::string& message) {
            server->handoff().decide(id, {core::Status(code_named(code), message), nullptr});
          },
          "id"_a, "code"_a, "message"_a);
}

// Descriptor, path, authority, authorization, way, admission.
using ProcessConnection = std::tuple<int, std::string, std::string, std::string, std::size_t, std::int64_t>;

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

// All that waits to be appended; nothing when nothing does.
std::unique_ptr<OpenAppendCalls> take_appends(OpenServer& server, const core::RedisLayout& layout) {
  using Waiting = std::vector<server::AppendQueue::Waiting>;
  auto left = server->append_wire().take();
  auto waiting = std::make_shared<Waiting>(left ? std::move(left->waiting) : server->appends().take());
  if (waiting->empty()) return nullptr;
  auto finish = [&queue = server->appends(), waiting](const core::Status& status) {
    queue.finish(std::move(*waiting), status);
  };
  if (left) {
    std::optional<OpenAppendCalls::Sent> sent;
    if (left->sent) sent = {std::move(left->answers), std::move(left->trouble)};
    return std::make_unique<OpenAppendCalls>(std::move(left->calls), std::move(sent), std::move(finish));
  }
  try {
    std::vector<core::Submission*> submissions;
    submissions.reserve(waiting->size());
    for (const auto& one : *waiting) submissions.push_back(one.owned.submission.get());
    return std::make_unique<OpenAppendCalls>(append_calls_of(*server.gateway(), layout, submissions), std::nullopt,
                                             std::move(finish));
  } catch (const std::bad_alloc&) {
    server->appends().refuse(std::move(*waiting));
    return nullptr;
  }
}

}  // namespace

void bind_server(py::module_& module) {
  using namespace py::literals;
  py::class_<OpenServer> type(module, "Server");
  type.def(py::init([](const OpenGateway& gateway, std::size_t max_batch_bytes, std::vector<std::string> cors_origins,
                       std::vector<std::string> trusted_proxies, std::size_t max_connections, bool asks_python,
                       bool engine_elsewhere, bool processes, std::size_t most_processed, bool local_pages) {
             return std::make_unique<OpenServer>(
                 gateway.share(), server::ServerOptions{max_batch_bytes, std::move(cors_origins),
                                                        std::move(trusted_proxies), max_connections, asks_python,
                                                        engine_elsewhere, processes, most_processed, local_pages});
           }),
           "gateway"_a, py::kw_only(), "max_batch_bytes"_a = 1'048'576, "cors_origins"_a = py::tuple(),
           "trusted_proxies"_a = py::tuple(), "max_connections"_a = 100'000, "asks_python"_a = false,
           "engine_elsewhere"_a = false, "processes"_a = false, "most_processed"_a = 20, "local_pages"_a = false)
      .def(
          "start",
          [](OpenServer& server, const std::vector<int>& sockets, int heartbeat) {
            try {
              server->start(sockets, heartbeat);
            } catch (const std::system_error& error) {
              errno = error.code().value();
              PyErr_SetFromErrno(PyExc_OSError);
              throw py::error_already_set();
            }
          },
          "sockets"_a, "heartbeat"_a = -1)
      .def("beat", [](OpenServer& server) { server->beat(); })
      .def(
          "drain", [](OpenServer& server, double seconds) { server->drain(seconds); }, "seconds"_a)
      .def(
          "hear_presence",
          [](OpenServer& server, std::vector<std::string> messages) { server->hear_presence(std::move(messages)); },
          "messages"_a)
      .def("stop",
           [](OpenServer& server) {
             const py::gil_scoped_release released;
             server->stop();
           })
      .def("fileno", [](OpenServer& server) { return server->handoff().fd(); })
      .def("appends_fileno", [](OpenServer& server) { return server->appends().fd(); })
      .def("take_appends", take_appends, "layout"_a, py::keep_alive<0, 1>())
      .def("processing_fileno", [](OpenServer& server) { return server->processing().fd(); })
      .def(
          "take_processing",
          [](OpenServer& server) -> std::unique_ptr<OpenProcessCall> {
            auto batch = server->processing().take();
            if (batch == nullptr) return nullptr;
            auto call = batch->call;
            auto answer = std::move(batch->answer);
            return std::make_unique<OpenProcessCall>(
                std::move(call), [&queue = server->processing(), batch = std::move(batch)] { queue.finish(batch); },
                std::move(answer));
          },
          py::keep_alive<0, 1>())
      .def(
          "lend_process_wire",
          [](OpenServer& server, const std::vector<ProcessConnection>& given, double answer_seconds) {
            std::vector<server::ProcessWire::Connection> connections;
            connections.reserve(given.size());
            for (const auto& [fd, path, authority, authorization, way, admission] : given) {
              connections.push_back({fd, {path, authority, authorization}, way, admission});
            }
            server->process_wire().lend(connections, milliseconds_of(answer_seconds));
          },
          "connections"_a, "answer_seconds"_a)
      .def("has_process_wire", [](OpenServer& server) { return server->process_wire().is_lent(); })
      .def("revoke_process_wire", [](OpenServer& server) { server->process_wire().revoke(); })
      .def(
          "lend_append_wire",
          [](OpenServer& server, int fd, const core::RedisLayout& layout, double answer_seconds) {
            server->append_wire().lend(fd, layout, milliseconds_of(answer_seconds));
          },
          "fd"_a, "layout"_a, "answer_seconds"_a)
      .def("has_append_wire", [](OpenServer& server) { return server->append_wire().is_lent(); })
      .def("revoke_append_wire", [](OpenServer& server) { server->append_wire().revoke(); })
      .def(
          "listed",
          [](OpenServer& server, Text app, Text channel, double seconds) {
            server->append_wire().listed(app, channel, milliseconds_of(seconds));
          },
          "app"_a, "channel"_a, "seconds"_a)
      .def(
          "listen", [](OpenServer& server, int fd) { return server->listen(fd); }, "fd"_a, py::keep_alive<0, 1>())
      .def("requests", [](OpenServer& server) { return server->requests(); })
      .def("drained", [](OpenServer& server) { return server->drained(); })
      .def("connections", [](OpenServer& server) { return server->connections(); })
      .def(
          "take",
          [](OpenServer& server, const py::dict& environ) {
            py::list jobs;
            for (const server::HandoffJob& job : server->handoff().take()) {
              jobs.append(std::visit(JobOf{job.id, environ}, job.what));
            }
            return jobs;
          },
          "environ"_a);
  bind_replies(type);
  py::class_<server::News, std::shared_ptr<server::News>>(module, "News")
      .def("fileno", &server::News::fd)
      .def("take",
           [](server::News& news) {
             const server::News::Left left = news.take();
             return py::make_tuple(to_bytes(left.bytes), left.ended);
           })
      .def("end", &server::News::end);
}

}  // namespace polyglot::bindings
