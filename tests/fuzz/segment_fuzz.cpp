// A history file with foreign bytes in it. Opening it gives a Status or a segment that answers as it should: every
// event it gives back is one that was published, offsets run without holes, publishing goes on.
//
// Input: patches of 12 bytes: 4 for where (modulo the size of the file), 8 that are written there; then as many bytes
// as are left say how much of the file is cut off, if any.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "core/gateway.hpp"

namespace {

using namespace polyglot::core;

void require(bool good) {
  if (!good) std::abort();
}

struct Template {
  Template() : folder((std::filesystem::temp_directory_path() / "polyglot-fuzz-XXXXXX").string()) {
    require(mkdtemp(folder.data()) != nullptr);
    options.segment = {.data_dir = folder,
                       .history_size = 15,
                       .history_bytes = kMinLogBytes,
                       .max_channels = 4,
                       .idempotency_keys = 16};
    {
      auto gateway = Gateway::open(options);
      require(gateway.ok());
      for (int i = 0; i < 40; ++i) {
        const std::string body = R"({"type":"t","data":")" + std::string(static_cast<std::size_t>(i) * 40, 'x') + "\"}";
        const std::string key = i % 3 == 0 ? "key" + std::to_string(i) : "";
        const Sender sender{.idempotency_key = key, .source_ip = "", .user_id = ""};
        require(gateway.value()->publish("app", "c" + std::to_string(i % 3), body, sender).ok());
      }
      gateway.value()->forget("app", "c2").ok();
      remember(*gateway.value());
    }
    std::ifstream file(folder + "/history.pgs", std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  ~Template() { std::filesystem::remove_all(folder); }

  void remember(Gateway& gateway) {
    for (const char* channel : {"c0", "c1", "c2"}) {
      HistoryPage page;
      require(gateway.read("app", channel, {.limit = 1000, .since = 0}, page).ok());
      for (const HistoryItem& item : page.items)
        events.insert(std::string(page.bytes.text().substr(item.begin, item.size)));
    }
  }

  std::string folder;
  GatewayOptions options;
  std::string bytes;
  std::set<std::string> events;
};

void read_all(Gateway& gateway, const std::set<std::string>& known) {
  const auto channels = gateway.channels("app", "", 1000);
  require(channels.ok());
  for (const ChannelState& state : channels.value()) {
    HistoryPage page;
    require(gateway.read("app", state.channel, {.limit = 1000, .since = 0}, page).ok());
    std::uint64_t expected = page.first;
    for (const HistoryItem& item : page.items) {
      require(item.offset == expected++);
      require(known.contains(std::string(page.bytes.text().substr(item.begin, item.size))));
    }
    require(expected == page.last + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Template original;
  std::string bytes = original.bytes;
  for (; size >= 12; data += 12, size -= 12) {
    std::uint32_t where;
    std::memcpy(&where, data, sizeof(where));
    // Seven of eight patches go where the structure is; most of the log is empty.
    const std::size_t reach = where % 8 == 7 ? bytes.size() - 8 : bytes.size() - kMinLogBytes + 20000;
    std::memcpy(bytes.data() + where / 8 % reach, data + 4, 8);
  }
  if (size >= 4) bytes.resize(bytes.size() - bytes.size() / (data[0] + 1U));

  for (const auto& entry : std::filesystem::directory_iterator(original.folder)) {
    if (entry.path().filename().string().starts_with("history.pgs")) std::filesystem::remove(entry.path());
  }
  std::ofstream(original.folder + "/history.pgs", std::ios::binary) << bytes;
  auto opened = Gateway::open(original.options);
  if (!opened.ok()) return 0;
  Gateway& gateway = *opened.value();
  read_all(gateway, original.events);
  auto feed = gateway.follow();
  require(feed.ok());
  std::set<std::string> known = original.events;
  for (const char* channel : {"c0", "c1", "new", "newer"}) {
    const auto before = gateway.channel("app", channel);
    const auto ack = gateway.publish("app", channel, R"({"type":"t","data":1})", {});
    require(before.ok() && ack.ok() && ack->offset == before->last + 1);
    HistoryPage page;
    require(gateway.read("app", channel, {.limit = 1, .since = before->last}, page).ok());
    require(page.items.size() == 1);
    known.emplace(page.bytes.text());
  }
  require(!feed.value()->poll().channels.empty());
  read_all(gateway, known);
  return 0;
}
