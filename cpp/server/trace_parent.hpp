// The field traceparent (W3C Trace Context, §3.2): which trace a request belongs to.
//
// Thread safety: pure function.
#pragma once

#include <string_view>

namespace polyglot::server {

// The trace id, 32 hex digits, a slice of the field; empty when the field is not as the recommendation has it, and then
// to be ignored.
std::string_view trace_id_of(std::string_view traceparent);

}  // namespace polyglot::server
