#include "core/rules.hpp"

namespace polyglot::core {

void Rules::add(std::string_view app, ChannelPattern pattern, const ChannelRule& rule) {
  apps_[std::string(app)].emplace_back(std::move(pattern), rule);
}

const ChannelRule& Rules::find(std::string_view app, std::string_view channel) const {
  if (apps_.empty()) {
    return default_;
  }
  auto list = apps_.find(app);
  if (list == apps_.end()) {
    list = apps_.find(std::string_view("*"));
  }
  if (list != apps_.end()) {
    for (const auto& [pattern, rule] : list->second) {
      if (pattern.matches(channel)) {
        return rule;
      }
    }
  }
  return default_;
}

}  // namespace polyglot::core
