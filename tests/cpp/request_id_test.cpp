#include "server/request_id.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>

namespace polyglot::server {
namespace {

bool is_made(std::string_view id) {
  return id.size() == RequestIds::kLength && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

TEST(RequestIds, KeepTheCallersOwn) {
  RequestIds ids;
  for (const std::string& given : {std::string("a"), std::string("A-b_c.9"), std::string(128, 'x')}) {
    EXPECT_EQ(ids.choose(given), given);
    EXPECT_EQ(ids.choose(given).data(), given.data()) << "it is not copied";
  }
}

TEST(RequestIds, ReplaceWhatIsNotFitToBeLogged) {
  RequestIds ids;
  for (const std::string& given :
       {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a\nb"), std::string("\xC3\xA9"),
        std::string("a\"b"), std::string("a/b"), std::string("a\0b", 3)}) {
    EXPECT_TRUE(is_made(ids.choose(given))) << given;
  }
}

TEST(RequestIds, TakeOnlyTheCharactersThatTheySay) {
  RequestIds ids;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string given(1, static_cast<char>(byte));
    const bool fit = byte < 128 && (std::isalnum(byte) != 0 || byte == '.' || byte == '_' || byte == '-');
    EXPECT_EQ(ids.choose(given) == given, fit) << byte;
  }
}

TEST(RequestIds, AreNotGivenTwice) {
  std::set<std::string> given;
  for (int process = 0; process < 20; ++process) {
    RequestIds ids;
    for (int i = 0; i < 1000; ++i) given.emplace(ids.choose({}));
  }
  EXPECT_EQ(given.size(), 20'000U);
}

// Each place has each digit about as often as the others: 4000 draws, 250 expected, sigma about 15.
TEST(RequestIds, AreRandomInEveryDigit) {
  RequestIds ids;
  std::array<std::array<int, 16>, RequestIds::kLength> counts{};
  for (int i = 0; i < 4000; ++i) {
    const std::string_view id = ids.choose({});
    for (std::size_t place = 0; place < id.size(); ++place) {
      ++counts[place][std::string_view("0123456789abcdef").find(id[place])];
    }
  }
  for (const auto& of_place : counts) {
    EXPECT_GT(*std::min_element(of_place.begin(), of_place.end()), 120);
    EXPECT_LT(*std::max_element(of_place.begin(), of_place.end()), 400);
  }
}

}  // namespace
}  // namespace polyglot::server
