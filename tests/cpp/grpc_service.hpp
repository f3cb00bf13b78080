// A service over gRPC at the other end of a connection.
#pragma once

#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "core/event_id.hpp"
#include "core/file_descriptor.hpp"
#include "grpc_peer.hpp"
#include "server_fixture.hpp"

namespace polyglot::server::testing {

class GrpcService {
 public:
  explicit GrpcService(core::FileDescriptor fd) : fd_(std::move(fd)) {}

  // Takes what comes, and sends what there is to say.
  void talk() {
    char bytes[16384];
    for (ssize_t count; (count = recv(fd_.get(), bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;) {
      peer.receive({bytes, static_cast<std::size_t>(count)});
    }
    say(peer.pack());
  }
  void say(const std::string& bytes) { send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // The next call that nobody has looked at.
  std::int32_t asked() {
    std::int32_t found = 0;
    wait_until(
        [&] {
          talk();
          for (const auto& [id, call] : peer.calls) {
            if (id > seen_ && call.whole) found = found == 0 ? id : found;
          }
          return found != 0;
        },
        "a call");
    return seen_ = found;
  }
  // All that nobody has looked at, of what has come.
  std::vector<std::int32_t> take_calls() {
    std::vector<std::int32_t> found;
    for (const auto& [id, call] : peer.calls) {
      if (id > seen_ && call.whole) found.push_back(id);
    }
    if (!found.empty()) seen_ = found.back();
    return found;
  }
  void reply(std::int32_t id, GrpcPeer::Reply reply) {
    peer.reply(id, std::move(reply));
    talk();
  }
  std::vector<std::string> ids(std::int32_t call) const {
    std::vector<std::string> ids;
    const std::string& bytes = peer.calls.at(call).bytes;
    for (std::size_t at = 0; (at = bytes.find("evt_", at)) != std::string::npos; at += core::kEventIdLength) {
      ids.push_back(bytes.substr(at, core::kEventIdLength));
    }
    return ids;
  }
  bool is_closed() {
    char byte = 0;
    return recv(fd_.get(), &byte, 1, MSG_DONTWAIT) == 0;
  }
  void close() { fd_ = core::FileDescriptor(); }

  GrpcPeer peer;

 private:
  core::FileDescriptor fd_;
  std::int32_t seen_ = 0;
};

}  // namespace polyglot::server::testing
