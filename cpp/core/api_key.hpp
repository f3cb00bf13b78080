// ApiKey: an API key as a client sends it, with its digest, which is computed when it is first needed: a client that
// goes on sends the same key again and again.
//
// Thread safety: of an object, one thread at a time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/sha256.hpp"

namespace polyglot::core {

class ApiKey {
 public:
  explicit ApiKey(std::string_view text = {}) : text_(text) {}

  // In a time that depends on the lengths only: the key before may be another client's, of the same proxy.
  void set(std::string_view text) {
    if (equal_in_constant_time(text, text_)) return;
    text_ = text;
    digest_.reset();
  }

  const std::string& text() const { return text_; }
  const Digest& digest() {
    if (!digest_) digest_ = sha256(text_);
    return *digest_;
  }

 private:
  std::string text_;
  std::optional<Digest> digest_;
};

}  // namespace polyglot::core
