// Submission: what one request publishes, checked and serialised, on its way to whoever keeps it, and then the answer.
//
// Gateway makes it, an engine fills in what became of each of its appends, and Gateway answers. The history of this
// process is such an engine (History::append); another may take its time.
//
// Thread safety: of an object, one thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ack.hpp"
#include "core/envelope.hpp"
#include "core/event.hpp"
#include "core/history.hpp"

namespace polyglot::core {

class Submission {
 public:
  struct Item {
    SentEvent event;
    std::string_view channel;
    Status status = {};  // of one that is refused already

    // Of its envelope among all.
    std::size_t begin = 0;
    std::size_t size = 0;
  };

  // `channels` of the items, and the texts of their events, have to stay where they are for as long as this lives.
  Submission(std::string_view app, std::vector<Item> items, std::int64_t began_ns)
      : app_(app), items_(std::move(items)), began_ns_(began_ns) {}
  // Events that were serialised before, to be appended as they are. It has no items.
  struct Stored {
    std::string app;
    std::string channel;
    Ulid id;
    TimeUs time;
    IdempotencyKey key;
    std::string envelope;
  };
  explicit Submission(std::vector<Stored> stored);
  Submission(const Submission&) = delete;
  Submission& operator=(const Submission&) = delete;

  const std::string& app() const { return app_; }
  std::int64_t began_ns() const { return began_ns_; }
  std::span<Item> items() { return items_; }
  std::span<const Item> items() const { return items_; }

  // Serialises the items that are not refused.
  struct Origin {
    TimeUs time;
    std::string_view user_id;
    std::string_view source_ip;
    std::string_view idempotency_key;  // empty: none
    std::string_view traceparent = {};
    bool numbered = false;  // the key counts for each item on its own, by its number
  };
  void serialise(const Origin& origin, EventIds& ids);

  // Of those that published; empty: unknown.
  const std::string& user_id() const { return user_id_; }
  const std::string& source_ip() const { return source_ip_; }
  // Which trace the request belongs to, as it was sent; empty: none.
  const std::string& traceparent() const { return traceparent_; }
  // Puts other data into the event of an append, whose item this is. REQUIRES: they are strict JSON.
  void replace_data(std::size_t append, const Item& item, std::string_view data);
  // Before the engine is asked: refuses the items of appends that have a status, and takes these out.
  void drop_refused();

  // Of the items that are not refused, in their order. An engine writes what became of them there.
  std::span<Append> appends() { return appends_; }
  std::span<const Append> appends() const { return appends_; }
  // What became of the only event. REQUIRES: there is one.
  const Status& outcome() const { return appends_.empty() ? items_.front().status : appends_.front().status; }
  // {"results":[…]}: of each item in order its acknowledgement, or {"channel","code","error","status"}.
  // REQUIRES: an engine has filled in the appends.
  std::string results() const;

 private:
  const std::string app_;
  std::vector<Item> items_;
  const std::int64_t began_ns_;
  std::string user_id_;
  std::string source_ip_;
  std::string traceparent_;
  std::string envelopes_;
  std::deque<std::string> replaced_;  // envelopes
  std::vector<IdempotencyKey> keys_;
  std::vector<Stored> stored_;
  std::vector<Append> appends_;
};

}  // namespace polyglot::core
