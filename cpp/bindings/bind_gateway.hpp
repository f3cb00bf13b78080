// Handles that Python holds on a core Gateway. After close() the gateway's own raises EngineUnavailable; a feed goes
// on, and keeps what it needs alive.
//
// Thread safety: by the GIL, which calls give up only while they wait for the disk or read columns. close() during such
// a call is safe: the gateway ends when the last user lets go of it.
#pragma once

#include <memory>
#include <utility>

#include "bindings.hpp"
#include "core/gateway.hpp"

namespace polyglot::bindings {

class OpenGateway {
 public:
  explicit OpenGateway(std::unique_ptr<core::Gateway> gateway) : gateway_(std::move(gateway)) {}
  core::Gateway& get() const {
    if (!gateway_) raise({core::Code::engine_unavailable, "The history is closed."});
    return *gateway_;
  }
  std::shared_ptr<core::Gateway> share() const {
    static_cast<void>(get());
    return gateway_;
  }
  void close() { gateway_.reset(); }

  // A worker has one pipe, so one feed at a time.
  bool feed_open() const { return !feed_.expired(); }
  void remember(const std::shared_ptr<core::Feed>& feed) { feed_ = feed; }

 private:
  std::shared_ptr<core::Gateway> gateway_;
  std::weak_ptr<core::Feed> feed_;
};

class OpenFeed {
 public:
  OpenFeed(std::shared_ptr<core::Gateway> gateway, std::shared_ptr<core::Feed> feed)
      : gateway_(std::move(gateway)), feed_(std::move(feed)) {}
  core::Feed& get() const { return *feed_; }

 private:
  std::shared_ptr<core::Gateway> gateway_;  // the feed's segment lives in it
  std::shared_ptr<core::Feed> feed_;
};

class OpenHold {
 public:
  OpenHold(std::shared_ptr<core::Gateway> gateway, core::Hold hold)
      : gateway_(std::move(gateway)), hold_(std::move(hold)) {}
  void release() { hold_ = core::Hold(); }

 private:
  std::shared_ptr<core::Gateway> gateway_;  // the hold's table lives in it
  core::Hold hold_;
};

// Parts of bind_gateway.
void bind_columns(py::module_& module, py::class_<OpenGateway>& gateway);
void bind_use_of_limits(py::module_& module, py::class_<OpenGateway>& gateway);
void bind_figures(py::class_<OpenGateway>& gateway);

}  // namespace polyglot::bindings
