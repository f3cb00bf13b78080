#include "server/source_address.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace polyglot::server {
namespace {

namespace ip = boost::asio::ip;

// Nothing for what is no address, and for one with a zone, which may hold any text. An IPv4 address that was mapped
// into IPv6 is itself.
std::optional<ip::address> parse(std::string_view text) {
  if (text.empty() || text.size() > 45 || text.find('%') != std::string_view::npos) return std::nullopt;
  boost::system::error_code error;
  ip::address address = ip::make_address(std::string(text), error);
  if (error) return std::nullopt;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

std::string to_text(const ip::address& address) {
  if (address.is_v6()) {
    // The system writes addresses below 2^32 as ::1.2.3.4; they are plain IPv6 by RFC 5952 §5.
    const auto bytes = address.to_v6().to_bytes();
    const bool low = std::all_of(bytes.begin(), bytes.begin() + 12, [](unsigned char byte) { return byte == 0; });
    const unsigned high_word = bytes[12] * 256U + bytes[13];
    if (low && high_word != 0) {
      std::array<char, 16> text{};
      std::snprintf(text.data(), text.size(), "::%x:%x", high_word, bytes[14] * 256U + bytes[15]);
      return text.data();
    }
  }
  return address.to_string();
}

bool is_port(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// `1.2.3.4:80` and `[2001:db8::1]:443` without the port (RFC 7239 §6 has the same forms).
std::string_view without_port(std::string_view hop) {
  const std::size_t colon = hop.rfind(':');
  if (!hop.empty() && hop.front() == '[') {
    const std::size_t bracket = hop.find(']');
    if (bracket == std::string_view::npos) return hop;
    const std::string_view rest = hop.substr(bracket + 1);
    if (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1)))) return hop.substr(1, bracket - 1);
  } else if (colon != std::string_view::npos && hop.find(':') == colon && is_port(hop.substr(colon + 1))) {
    return hop.substr(0, colon);
  }
  return hop;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

}  // namespace

SourceAddress::SourceAddress(const std::vector<std::string>& trusted_proxies) {
  for (const std::string& text : trusted_proxies) {
    boost::system::error_code error;
    const bool has_length = text.find('/') != std::string::npos;
    if (text.find(':') == std::string::npos) {
      const auto network = ip::make_network_v4(has_length ? text : text + "/32", error);
      if (!error) networks_v4_.push_back(network);
    } else {
      const auto network = ip::make_network_v6(has_length ? text : text + "/128", error);
      if (!error) networks_v6_.push_back(network);
    }
  }
}

bool SourceAddress::is_proxy(const ip::address& address) const {
  if (address.is_v4()) {
    const std::uint32_t number = address.to_v4().to_uint();
    return std::any_of(networks_v4_.begin(), networks_v4_.end(), [number](const ip::network_v4& network) {
      return (number & network.netmask().to_uint()) == network.network().to_uint();
    });
  }
  const auto bytes = address.to_v6().to_bytes();
  return std::any_of(networks_v6_.begin(), networks_v6_.end(), [&bytes](const ip::network_v6& network) {
    const auto base = network.network().to_bytes();
    unsigned bits = network.prefix_length();
    for (std::size_t i = 0; i < bytes.size() && bits > 0; ++i) {
      const unsigned here = std::min(bits, 8U);
      if (((bytes[i] ^ base[i]) >> (8 - here)) != 0) return false;
      bits -= here;
    }
    return true;
  });
}

SourceAddress::Peer SourceAddress::peer(std::string_view text) const {
  const auto address = parse(text.substr(0, text.find('%')));
  if (!address) return {std::string(text), text.empty()};
  return {to_text(*address), is_proxy(*address)};
}

std::string SourceAddress::of(const Peer& peer, std::string_view forwarded) const {
  if (!peer.trusted || forwarded.empty()) return peer.address;
  std::string nearest = peer.address;
  while (true) {
    const std::size_t comma = forwarded.rfind(',');
    const std::string_view hop = comma == std::string_view::npos ? forwarded : forwarded.substr(comma + 1);
    const auto address = parse(without_port(trimmed(hop)));
    if (!address) break;
    nearest = to_text(*address);
    if (comma == std::string_view::npos || !is_proxy(*address)) break;
    forwarded = forwarded.substr(0, comma);
  }
  return nearest;
}

}  // namespace polyglot::server
