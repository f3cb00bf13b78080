// What tests of the segment and of what stands on it share: a folder that goes away, and small segments in it.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/event.hpp"
#include "core/gateway.hpp"
#include "core/history.hpp"
#include "core/segment.hpp"

namespace polyglot::core::testing {

// A new, empty folder, removed with all that is in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "polyglot-XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) throw std::system_error(errno, std::generic_category(), path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The value, or the failure of the test with the status message.
template <typename T>
T taken(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return std::move(result).value();
}

// 15 events for each of 8 channels, in a log of 1 MiB; 64 idempotency keys.
inline SegmentOptions small_options(const std::string& folder) {
  return {.data_dir = folder,
          .history_size = 15,
          .history_bytes = std::uint64_t{1} << 20,
          .max_channels = 8,
          .idempotency_keys = 64};
}

inline GatewayOptions small_gateway(const std::string& folder) {
  return {.segment = small_options(folder)};
}

inline std::unique_ptr<Segment> open_segment(const SegmentOptions& options) {
  return taken(Segment::open(options));
}

inline std::unique_ptr<Gateway> open_gateway(const GatewayOptions& options) {
  return taken(Gateway::open(options));
}

// Appends one event of type "test". The Append that comes back has lost its envelope and its key.
inline Append append(History& history, std::string_view app, std::string_view channel, std::string_view data = "null",
                     TimeUs time = system_time_ns() / 1000, const IdempotencyKey* key = nullptr) {
  static EventIds ids;
  const Ulid id = ids.next(time);
  std::string envelope;
  append_envelope(envelope, {app, channel, id, time, {}, {}}, {.channel = {}, .type = "\"test\"", .data = data});
  const std::size_t size = envelope.size();
  envelope.resize(size + kMaxOffsetLength);
  Append one{.app = app, .channel = channel, .envelope = {envelope.data(), size}, .id = id, .time = time, .key = key};
  history.append({&one, 1});
  one.envelope = {};
  one.key = nullptr;
  return one;
}

}  // namespace polyglot::core::testing
