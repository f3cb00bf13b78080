// What the command line of fanout asks for.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace polyglot::load {

// Whose language is spoken: this gateway's (HTTP publish, Phoenix Channels v2), or that of an Nchan with the locations
// /pub and /sub.
enum class Dialect : std::uint8_t { gateway, nchan };

struct Options {
  Dialect dialect = Dialect::gateway;
  std::string host = "127.0.0.1";
  std::string port = "4000";
  std::string publish_port;  // of another instance that takes the publishes; the same unless given
  std::string app = "demo";
  std::string key;  // valid_key_{app} unless given
  std::string channel = "room:test";
  std::size_t subscribers = 100;
  double seconds = 5;
  std::size_t window = 1;  // closed loop: requests sent together; the next ones follow when all are answered
  std::uint64_t rate = 0;  // open loop, when not 0: events per second, whatever the answers do
  std::size_t batch = 1;   // events in a request; more than one only in the gateway's dialect
  bool conflate = false;   // a subscriber may miss events, but not the last one
  bool idle = false;       // only open the subscribers and keep them
  pid_t pid = 0;           // the server's process, when its CPU time is wanted
};

// Reads the command line. Ends the program when it is wrong (status 2) or asks for help (status 0).
Options parse_options(int argc, char** argv);

}  // namespace polyglot::load
