// A service over gRPC that a test makes say what it wants, bytes to bytes.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace polyglot::server::testing {

inline std::string with_prefix(const std::string& message) {
  std::string bytes(5, '\0');
  for (std::size_t i = 0; i < 4; ++i) bytes[1 + i] = static_cast<char>(message.size() >> (24 - 8 * i) & 0xFF);
  return bytes + message;
}

class GrpcPeer {
 public:
  struct Call {
    std::map<std::string, std::string> headers;
    std::string bytes;  // of its message, with what is before it
    bool whole = false;
    bool cancelled = false;
  };
  struct Reply {
    std::string bytes;
    std::vector<std::pair<std::string, std::string>> trailers = {{"grpc-status", "0"}};
    std::size_t sent = 0;
  };

  GrpcPeer() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                      const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* self) {
          const std::string key(reinterpret_cast<const char*>(name), name_size);
          of(self).calls[frame->hd.stream_id].headers[key] = {reinterpret_cast<const char*>(value), value_size};
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size, void* self) {
          of(self).calls[id].bytes.append(reinterpret_cast<const char*>(bytes), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* self) {
          if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) of(self).calls[frame->hd.stream_id].whole = true;
          if (frame->hd.type == NGHTTP2_SETTINGS && frame->hd.flags & NGHTTP2_FLAG_ACK) of(self).acknowledged_ = true;
          if (frame->hd.type == NGHTTP2_RST_STREAM) of(self).calls[frame->hd.stream_id].cancelled = true;
          return 0;
        });
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
  }
  ~GrpcPeer() { nghttp2_session_del(session_); }
  GrpcPeer(const GrpcPeer&) = delete;
  GrpcPeer& operator=(const GrpcPeer&) = delete;

  void greet(std::uint32_t most_calls = 100) {
    const nghttp2_settings_entry entry{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, most_calls};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &entry, 1);
  }
  void receive(std::string_view bytes) {
    if (nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()) < 0) {
      throw std::runtime_error("what came is no HTTP/2");
    }
  }
  std::string pack() {
    std::string out;
    const std::uint8_t* bytes = nullptr;
    while (const auto size = nghttp2_session_mem_send(session_, &bytes)) {
      if (size < 0) throw std::runtime_error("nghttp2 does not go on");
      out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    }
    return out;
  }
  void reply(std::int32_t id, Reply reply) {
    Reply& kept = replies_[id] = std::move(reply);
    nghttp2_data_provider provider{{.ptr = &kept},
                                   [](nghttp2_session* session, std::int32_t stream, std::uint8_t* to, std::size_t most,
                                      std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
                                     Reply& sent = *static_cast<Reply*>(source->ptr);
                                     const std::size_t count = std::min(most, sent.bytes.size() - sent.sent);
                                     std::copy_n(sent.bytes.data() + sent.sent, count, reinterpret_cast<char*>(to));
                                     sent.sent += count;
                                     if (sent.sent == sent.bytes.size()) {
                                       *flags |= NGHTTP2_DATA_FLAG_EOF;
                                       if (!sent.trailers.empty()) {
                                         *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                                         std::vector<nghttp2_nv> fields;
                                         for (auto& [name, value] : sent.trailers) fields.push_back(field(name, value));
                                         nghttp2_submit_trailer(session, stream, fields.data(), fields.size());
                                       }
                                     }
                                     return static_cast<ssize_t>(count);
                                   }};
    std::string status = ":status", ok = "200", type = "content-type", grpc = "application/grpc";
    const std::array<nghttp2_nv, 2> head{field(status, ok), field(type, grpc)};
    nghttp2_submit_response(session_, id, head.data(), head.size(), &provider);
  }
  void reset(std::int32_t id, std::uint32_t error) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, error);
  }
  void go_away(std::int32_t last) {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  }

  // The other side has heard the greeting.
  bool is_acknowledged() const { return acknowledged_; }

  std::map<std::int32_t, Call> calls;

 private:
  static GrpcPeer& of(void* self) { return *static_cast<GrpcPeer*>(self); }
  static nghttp2_nv field(std::string& name, std::string& value) {
    return {reinterpret_cast<std::uint8_t*>(name.data()), reinterpret_cast<std::uint8_t*>(value.data()), name.size(),
            value.size(), NGHTTP2_NV_FLAG_NONE};
  }

  nghttp2_session* session_ = nullptr;
  bool acknowledged_ = false;
  std::map<std::int32_t, Reply> replies_;
};

}  // namespace polyglot::server::testing
