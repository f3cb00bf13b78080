// The field traceparent (W3C Trace Context, §3.2): which trace a request belongs to.
//
// Thread safety: pure functions.
#pragma once

#include <string_view>

#include "server/http_request.hpp"

namespace polyglot::server {

// The trace id, 32 hex digits, a slice of the field; empty when the field is not as the recommendation has it, and then
// to be ignored.
std::string_view trace_id_of(std::string_view traceparent);
// The request's field, as it was sent; empty when it is to be ignored, or there are several.
std::string_view traceparent_of(const HttpRequest& request);

}  // namespace polyglot::server
