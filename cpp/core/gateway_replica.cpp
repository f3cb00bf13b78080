// Gateway: what is kept here of channels of an engine elsewhere.
#include "core/gateway.hpp"

namespace polyglot::core {

Result<bool> Gateway::holds(std::string_view app, std::string_view channel) const {
  if (Status status = check(app, channel); !status.ok()) return status;
  return history_.holds(app, channel);
}

Result<ChannelState> Gateway::replicated(std::string_view app, std::string_view channel) {
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  return state_of(app, channel, {.limit = 0});
}

Result<bool> Gateway::replicate(std::string_view app, std::string_view channel, const Replica& replica) {
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  return history_.replicate(app, channel, replica);
}

Result<bool> Gateway::replace(std::string_view app, std::string_view channel, std::uint64_t seen,
                              const Replica& replica) {
  if (Status status = check(app, channel); !status.ok()) return status;
  if (channel.empty()) return check_channel(channel);
  return history_.replace(app, channel, seen, replica);
}

}  // namespace polyglot::core
