// Any bytes as verdicts: what is read lies within the message, is UTF-8 where it is text, and needs all of the bytes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/process_messages.hpp"
#include "core/utf8.hpp"
#include "require.hpp"

namespace polyglot::core {
namespace {

void check(std::string_view message) {
  const auto verdicts = read_verdicts(message);
  if (!verdicts) return;
  for (const ProcessVerdict& verdict : *verdicts) {
    for (const std::string_view text : {verdict.id, verdict.data, verdict.reason}) {
      require(text.empty() ||
                  (text.data() >= message.data() && text.data() + text.size() <= message.data() + message.size()),
              "a text lies in the message");
    }
    require(check_utf8(verdict.id).ok() && check_utf8(verdict.reason).ok(), "texts are UTF-8");
    require(verdict.kind >= VerdictKind::accept && verdict.kind <= VerdictKind::reject, "its kind is known");
  }
  const auto twice = read_verdicts(std::string(message) + std::string(message));
  require(twice && twice->size() == 2 * verdicts->size(), "a message behind a message adds its verdicts");
}

}  // namespace
}  // namespace polyglot::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  polyglot::core::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
