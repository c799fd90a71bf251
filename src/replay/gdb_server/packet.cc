#include "replay/gdb_server/packet.h"

namespace culprit::replay::gdb {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";
/// A repeat count is sent as a printable character: this much more than the number of extra copies.
constexpr int repeat_bias = 29;

unsigned checksum(std::string_view bytes) {
  unsigned sum = 0;
  for (const char c : bytes) sum += static_cast<unsigned char>(c);
  return sum & 0xff;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Undoes escapes and repeats. False: not a coding, or too long.
bool decode(std::string_view sent, std::string& out) {
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const char c = sent[i];
    if (c == '}') {
      if (++i == sent.size()) return false;
      out += static_cast<char>(sent[i] ^ 0x20);
    } else if (c == '*') {
      if (++i == sent.size() || out.empty()) return false;
      const int copies = static_cast<unsigned char>(sent[i]) - repeat_bias;
      if (copies <= 0 || sent[i] > '~') return false;
      out.append(static_cast<std::size_t>(copies), out.back());
    } else {
      out += c;
    }
    if (out.size() > PacketDecoder::most_payload) return false;
  }
  return true;
}

}  // namespace

std::string frame(std::string_view payload) {
  std::string sent;
  sent.reserve(payload.size() + 4);
  for (const char c : payload) {
    if (c == '#' || c == '$' || c == '}' || c == '*') {
      sent += '}';
      sent += static_cast<char>(c ^ 0x20);
    } else {
      sent += c;
    }
  }
  const unsigned sum = checksum(sent);
  sent.insert(sent.begin(), '$');
  sent += '#';
  sent += hex_digits[sum >> 4];
  sent += hex_digits[sum & 15];
  return sent;
}

Result<std::optional<Token>> PacketDecoder::next() {
  while (!pending_.empty()) {
    const char first = pending_.front();
    if (first == '+' || first == '-') {
      pending_.erase(0, 1);
      return std::optional(
          Token{first == '+' ? Token::Kind::acknowledged : Token::Kind::refused, ""});
    }
    if (first == '$' || first == '%') break;
    const std::size_t end = pending_.find_first_of("+-$%");
    const std::size_t skipped = end == std::string::npos ? pending_.size() : end;
    pending_.erase(0, skipped);
    noise_ += skipped;
    if (noise_ > most_noise) {
      return Error{ErrorCode::bad_input, "the other side does not speak gdb's remote protocol"};
    }
  }
  if (pending_.empty()) return std::optional<Token>();

  const std::size_t hash = pending_.find('#', searched_ > 1 ? searched_ : 1);
  if (hash == std::string::npos || hash + 2 >= pending_.size()) {
    searched_ = hash == std::string::npos ? pending_.size() : hash;
    if (pending_.size() > most_payload + 4) {
      return Error{ErrorCode::bad_input, "a packet of more than 16 MiB"};
    }
    return std::optional<Token>();
  }
  Token token;
  token.kind = pending_.front() == '%' ? Token::Kind::notification : Token::Kind::packet;
  const std::string_view sent(pending_.data() + 1, hash - 1);
  const int high = hex_value(pending_[hash + 1]);
  const int low = hex_value(pending_[hash + 2]);
  if (high < 0 || low < 0 || checksum(sent) != static_cast<unsigned>(high * 16 + low) ||
      !decode(sent, token.payload)) {
    token.kind = Token::Kind::damaged;
    token.payload.clear();
  }
  pending_.erase(0, hash + 3);
  searched_ = 0;
  noise_ = 0;
  return std::optional(std::move(token));
}

}  // namespace culprit::replay::gdb
