// Where a request comes from, seen through the proxies that are trusted. The rules are those of
// gateway/source_address.py.
//
// Thread safety: made once, then only read.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace polyglot::server {

class SourceAddress {
 public:
  struct Peer {
    std::string address;   // as it is shown; empty on a Unix socket
    bool trusted = false;  // whether its X-Forwarded-For is believed
  };

  // Addresses and networks ("10.0.0.0/8"). Those that cannot be read are left out: the settings have checked them.
  explicit SourceAddress(const std::vector<std::string>& trusted_proxies);

  // Whoever is connected; `text` is empty for a Unix socket, which is trusted.
  Peer peer(std::string_view text) const;
  // The right-most address in X-Forwarded-For that is not a trusted proxy's, if the peer is one.
  std::string of(const Peer& peer, std::string_view forwarded) const;

 private:
  bool is_proxy(const boost::asio::ip::address& address) const;

  std::vector<boost::asio::ip::network_v4> networks_v4_;
  std::vector<boost::asio::ip::network_v6> networks_v6_;
};

}  // namespace polyglot::server
