#include "server/mirror.hpp"

#include <utility>

#include "core/channel.hpp"

namespace polyglot::server {
Mirror::Mirror(Handoff& handoff, Hub& hub, bool needed) : handoff_(handoff), needed_(needed) {
  if (!needed) return;
  hub.on_stream = [this](const ChannelStream& stream, bool begins) {
    const std::string place = core::place_of(stream.app, stream.channel);
    begins ? hold(place) : let_go(place, stream.app, stream.channel);
  };
}

void Mirror::hold(const std::string& place) {
  ++holders_[place];
}

void Mirror::let_go(const std::string& place, std::string_view app, std::string_view channel) {
  const auto found = holders_.find(place);
  if (found == holders_.end() || --found->second != 0) return;
  holders_.erase(found);
  handoff_.unfollow({std::string(app), std::string(channel)});
}

void Mirror::follow(std::string_view app, std::string_view channel, std::optional<std::uint64_t> since,
                    std::string_view epoch, std::function<void(const core::Status&)> done) {
  const std::string place = core::place_of(app, channel);
  hold(place);
  Follow follow{std::string(app), std::string(channel), since, std::string(epoch)};
  handoff_.ask(std::move(follow), [this, place, name = std::pair(std::string(app), std::string(channel)),
                                   done = std::move(done)](const Verdict& verdict) {
    struct LetGo {  // also when `done` throws
      Mirror& mirror;
      const std::string& place;
      const std::pair<std::string, std::string>& name;
      ~LetGo() { mirror.let_go(place, name.first, name.second); }
    } const let_go{*this, place, name};
    done(verdict.status);
  });
}

}  // namespace polyglot::server
