#include "server/connection_relay.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "server/listener.hpp"
#include "server/loop.hpp"

namespace polyglot::server {
namespace {

constexpr int kAtATime = 16;

sockaddr_un address_of(int folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder) + '/' + name;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

std::string name_of(std::uint32_t worker) {
  return "connections." + std::to_string(worker);
}

int checked(int outcome, const char* what) {
  if (outcome < 0) throw std::system_error(errno, std::system_category(), what);
  return outcome;
}

int make_socket(int folder, const std::string& name) {
  core::FileDescriptor socket(checked(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  unlinkat(folder, name.c_str(), 0);  // of an earlier holder of this slot
  const sockaddr_un address = address_of(folder, name);
  checked(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "bind");
  fchmodat(folder, name.c_str(), S_IRUSR | S_IWUSR, 0);
  return socket.release();
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::string read_all(int fd) {
  std::string bytes;
  struct stat status{};
  if (fstat(fd, &status) != 0 || status.st_size > static_cast<off_t>(kMaxHead + (std::size_t{1} << 30))) return bytes;
  bytes.resize(static_cast<std::size_t>(status.st_size));
  const ssize_t got = pread(fd, bytes.data(), bytes.size(), 0);
  bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return bytes;
}

}  // namespace

ConnectionRelay::ConnectionRelay(Loop& loop)
    : loop_(loop),
      folder_(checked(open((loop.gateway.segment().data_dir() + "/wake").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC),
                      "open")),
      name_(name_of(loop.gateway.segment().worker())),
      socket_(loop.io, make_socket(folder_, name_)) {
  wait();
}

ConnectionRelay::~ConnectionRelay() {
  unlinkat(folder_, name_.c_str(), 0);
  close(folder_);
}

bool ConnectionRelay::pass(std::uint32_t worker, int connection, std::string_view bytes) {
  const core::FileDescriptor file(memfd_create("request", MFD_CLOEXEC));
  if (!file.valid() || !write_all(file.get(), bytes)) return false;
  const std::array<int, 2> descriptors = {connection, file.get()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(descriptors))> control{};
  char byte = 0;
  iovec part = {&byte, 1};
  sockaddr_un address = address_of(folder_, name_of(worker));
  msghdr message{};
  message.msg_name = &address;
  message.msg_namelen = sizeof(address);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(descriptors));
  std::memcpy(CMSG_DATA(header), descriptors.data(), sizeof(descriptors));
  return sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

void ConnectionRelay::wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    try {
      take();
    } catch (...) {
      wait();
      throw;
    }
    wait();
  });
}

void ConnectionRelay::take() {
  for (int i = 0; i < kAtATime; ++i) {
    std::array<int, 2> descriptors = {-1, -1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(descriptors))> control{};
    char byte = 0;
    iovec part = {&byte, 1};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0) return;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(descriptors))) {
      continue;
    }
    std::memcpy(descriptors.data(), CMSG_DATA(header), sizeof(descriptors));
    const core::FileDescriptor file(descriptors[1]);
    adopt_connection(loop_, descriptors[0], read_all(file.get()));
  }
}

}  // namespace polyglot::server
