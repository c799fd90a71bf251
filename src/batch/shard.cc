#include "batch/shard.h"

#include <charconv>

namespace culprit::batch {
namespace {

constexpr unsigned kMaxShards = 100'000;

bool parse_number(const char* first, const char* last, unsigned& out) {
  const auto [end, error] = std::from_chars(first, last, out);
  return error == std::errc() && end == last && first != last;
}

}  // namespace

Result<Shard> parse_shard(const std::string& text) {
  Shard shard;
  const std::size_t slash = text.find('/');
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (slash == std::string::npos || !parse_number(begin, begin + slash, shard.index) ||
      !parse_number(begin + slash + 1, end, shard.count) || shard.count > kMaxShards ||
      shard.index < 1 || shard.index > shard.count) {
    return Error{ErrorCode::usage, "--shard " + text + ": say I/N, with 1 <= I <= N <= 100000"};
  }
  return shard;
}

}  // namespace culprit::batch
