#include "server/grpc_session.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <new>
#include <utility>

namespace polyglot::server {
namespace {

constexpr std::int32_t kWindow = 1 << 20;  // bytes that may come before we have said that more may

// As it is asked here, nothing else can be the matter.
void check(int result) {
  if (result < 0) throw std::bad_alloc();
}

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::size_t size_at(std::string_view prefix) {
  std::size_t size = 0;
  for (const char byte : prefix.substr(1, 4)) size = size << 8 | static_cast<unsigned char>(byte);
  return size;
}

}  // namespace

// What nghttp2 calls. They throw nothing, because it is C; where there is no memory it hears of a failure and says so.
struct GrpcSession::Callbacks {
  static GrpcSession& self(void* user) { return *static_cast<GrpcSession*>(user); }
  static Call* find(void* user, Id id) {
    const auto found = self(user).calls_.find(id);
    return found == self(user).calls_.end() ? nullptr : &found->second;
  }
  template <typename Function>
  static int guarded(Function function) {
    try {
      function();
      return 0;
    } catch (const std::bad_alloc&) {
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
  }

  static ssize_t read(nghttp2_session*, Id id, std::uint8_t* to, std::size_t most, std::uint32_t* flags,
                      nghttp2_data_source*, void* user) {
    Call* const call = find(user, id);
    if (call == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const std::size_t count = std::min(most, call->message.size() - call->sent);
    std::copy_n(call->message.data() + call->sent, count, reinterpret_cast<char*>(to));
    call->sent += count;
    if (call->sent == call->message.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      call->sent = 0;
      std::string().swap(call->message);
    }
    return static_cast<ssize_t>(count);
  }

  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (Call* const call = find(user, frame->hd.stream_id)) call->begun = true;
    return 0;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_SETTINGS) self(user).greeted_ = true;
    if (frame->hd.type == NGHTTP2_GOAWAY) self(user).closing_ = true;
    return 0;
  }

  static int header_received(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                             std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                             void* user) {
    Call* const call = find(user, frame->hd.stream_id);
    if (call == nullptr) return 0;
    return guarded([&] {
      const std::string_view is = text_of(value, value_size);
      if (text_of(name, name_size) == "grpc-message") call->details = is;
      if (text_of(name, name_size) != "grpc-status") return;
      int status = 0;
      const auto read = std::from_chars(is.data(), is.data() + is.size(), status);
      const bool whole = read.ec == std::errc() && read.ptr == is.data() + is.size();
      call->status = whole && status >= 0 ? status : kGrpcUnknown;
    });
  }

  static int data_received(nghttp2_session* session, std::uint8_t, Id id, const std::uint8_t* bytes, std::size_t size,
                           void* user) {
    Call* const call = find(user, id);
    if (call == nullptr || call->too_long) return 0;
    if (call->answer.size() + size > kMostGrpcBytes + kGrpcPrefix) {
      call->too_long = true;
      return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL) == 0
                 ? 0
                 : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return guarded([&] { call->answer.append(text_of(bytes, size)); });
  }

  static int closed(nghttp2_session*, Id id, std::uint32_t error, void* user) {
    GrpcSession& session = self(user);
    const auto found = session.calls_.find(id);
    if (found == session.calls_.end()) return 0;  // cancelled
    return guarded([&] {
      session.ended_.push_back({id, session.answer_of(found->second, error)});
      session.calls_.erase(found);
    });
  }
};

GrpcSession::GrpcSession(Method method) : method_(std::move(method)) {
  nghttp2_session_callbacks* callbacks = nullptr;
  check(nghttp2_session_callbacks_new(&callbacks));
  const std::unique_ptr<nghttp2_session_callbacks, decltype(&nghttp2_session_callbacks_del)> kept(
      callbacks, &nghttp2_session_callbacks_del);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, &Callbacks::frame_sent);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, &Callbacks::frame_received);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, &Callbacks::header_received);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, &Callbacks::data_received);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, &Callbacks::closed);
  nghttp2_session* session = nullptr;
  check(nghttp2_session_client_new(&session, callbacks, this));
  session_.reset(session);
  const std::array<nghttp2_settings_entry, 2> settings{
      {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow}}};
  check(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data(), settings.size()));
  check(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kWindow));
}

GrpcSession::~GrpcSession() = default;

bool GrpcSession::is_closing() const {
  const bool used_up = nghttp2_session_get_next_stream_id(session_.get()) > std::uint32_t{INT32_MAX};
  return closing_ || used_up;
}

bool GrpcSession::is_over() const {
  return nghttp2_session_want_read(session_.get()) == 0 && nghttp2_session_want_write(session_.get()) == 0;
}

GrpcSession::Id GrpcSession::call(std::string message, std::chrono::milliseconds time) {
  const std::size_t size = message.size() - kGrpcPrefix;
  message[0] = 0;  // not compressed
  for (std::size_t i = 0; i < 4; ++i) message[1 + i] = static_cast<char>(size >> (24 - 8 * i) & 0xFF);
  const std::string timeout = std::to_string(time.count()) + "m";
  std::vector<nghttp2_nv> headers{header(":method", "POST"),      header(":scheme", "http"),
                                  header(":path", method_.path),  header(":authority", method_.authority),
                                  header("te", "trailers"),       header("content-type", "application/grpc"),
                                  header("grpc-timeout", timeout)};
  if (!method_.authorization.empty()) headers.push_back(header("authorization", method_.authorization));
  nghttp2_data_provider provider{{}, &Callbacks::read};
  const Id id = nghttp2_submit_request(session_.get(), nullptr, headers.data(), headers.size(), &provider, nullptr);
  check(id);
  try {
    calls_[id].message = std::move(message);
  } catch (const std::bad_alloc&) {
    cancel(id);
    throw;
  }
  return id;
}

void GrpcSession::cancel(Id id) {
  calls_.erase(id);
  check(nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL));
}

void GrpcSession::pack(std::string& out) {
  while (true) {
    const std::uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_.get(), &bytes);
    if (size < 0) throw std::bad_alloc();
    if (size == 0) return;
    out.append(text_of(bytes, static_cast<std::size_t>(size)));
  }
}

bool GrpcSession::receive(std::string_view bytes) {
  const auto* const begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
  if (nghttp2_session_mem_recv(session_.get(), begin, bytes.size()) < 0) return false;
  if (closing_) end_waiting();
  return true;
}

// The calls that wait for others to end will not be sent any more.
void GrpcSession::end_waiting() {
  std::vector<Id> waiting;
  for (const auto& [id, call] : calls_) {
    if (!call.begun) waiting.push_back(id);
  }
  for (const Id id : waiting) {
    ended_.push_back({id, {kGrpcUnavailable, true}});
    cancel(id);
  }
}

void GrpcSession::end() {
  closing_ = true;
  for (const auto& [id, call] : calls_) ended_.push_back({id, {kGrpcUnavailable, !call.begun}});
  calls_.clear();
}

std::vector<GrpcSession::Ended> GrpcSession::take_ended() {
  return std::exchange(ended_, {});
}

GrpcAnswer GrpcSession::answer_of(Call& call, std::uint32_t error) const {
  if (error == NGHTTP2_REFUSED_STREAM || !call.begun) return {kGrpcUnavailable, true};
  if (call.too_long) return {kGrpcResourceExhausted};
  if (error != NGHTTP2_NO_ERROR) return {kGrpcInternal};
  if (!call.status) return {kGrpcUnknown};
  if (*call.status != 0) return {*call.status, false, std::move(call.details)};
  const std::string_view answer = call.answer;
  if (answer.size() < kGrpcPrefix || answer[0] != 0 || size_at(answer) != answer.size() - kGrpcPrefix) {
    return {kGrpcInternal};
  }
  return {0, false, call.answer.substr(kGrpcPrefix)};
}

}  // namespace polyglot::server
