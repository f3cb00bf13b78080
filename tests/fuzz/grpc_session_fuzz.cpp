// Any bytes from a service, in any pieces: each call ends once at most, and what it answers came in the bytes.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "require.hpp"
#include "server/grpc_session.hpp"

namespace polyglot::server {
namespace {

using core::require;

void check(std::string_view bytes) {
  GrpcSession session({"/a.B/C", "host", ""});
  std::string sent;
  std::set<GrpcSession::Id> calls;
  for (int i = 0; i < 3; ++i) calls.insert(session.call(std::string(kGrpcPrefix + 10, 'x'), std::chrono::seconds(1)));
  session.cancel(*calls.begin());
  calls.erase(calls.begin());
  session.pack(sent);
  const auto look = [&] {
    for (const GrpcSession::Ended& ended : session.take_ended()) {
      require(calls.erase(ended.id) == 1, "a call that was made ends, and once");
      require(ended.answer.status != 0 || ended.answer.text.size() < bytes.size(), "its message came");
      require(!ended.answer.unseen || ended.answer.status == kGrpcUnavailable, "what is unseen has no answer");
    }
  };
  const std::size_t piece = bytes.empty() ? 1 : 1 + static_cast<unsigned char>(bytes[0]);
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (!session.receive(bytes.substr(at, piece))) break;
    session.pack(sent);
    look();
    if (session.is_over()) break;
  }
  session.end();
  look();
  require(calls.empty(), "with the connection all calls end");
}

}  // namespace
}  // namespace polyglot::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  polyglot::server::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
