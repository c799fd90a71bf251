// The framing of gdb's remote protocol: bytes on a stream to packets and back.
//
//   $<payload>#<two hexadecimal digits: sum of the payload's bytes as sent, modulo 256>
//
// In a payload `}` escapes the next byte (which is sent with bit 5 flipped), and `<byte>*<count>`
// stands for count - 28 copies of the byte ("run-length encoding"). `+` and `-` acknowledge a
// packet until no-ack mode is on. `%...#..` is a notification. Source: the GDB manual, appendix
// "gdb Remote Serial Protocol", "Overview"; rr's GdbConnection.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace culprit::replay::gdb {

/// A payload as bytes on the stream: `#`, `$`, `}` and `*` are escaped.
[[nodiscard]] std::string frame(std::string_view payload);

/// One thing that stands in the stream.
struct Token {
  enum class Kind {
    packet,        ///< payload, decoded
    acknowledged,  ///< `+`
    refused,       ///< `-`: send it again
    notification,  ///< payload, decoded
    damaged,       ///< a packet whose checksum or coding is wrong
  };
  Kind kind = Kind::packet;
  std::string payload;
};

/// Takes a stream apart. The stream is untrusted: what it may make this hold is bounded.
class PacketDecoder {
 public:
  /// Payloads are refused beyond this many bytes, decoded or as sent.
  static constexpr std::size_t most_payload = std::size_t{16} << 20;
  /// So many bytes may lie between packets before the stream is taken for something else.
  static constexpr std::size_t most_noise = 4096;

  /// The next bytes, in pieces of any size.
  void feed(std::string_view bytes) { pending_.append(bytes); }
  /// The next token; nothing if more bytes are needed. Errors: bad_input (too long, or no such
  /// stream; it cannot be read on).
  [[nodiscard]] Result<std::optional<Token>> next();

 private:
  std::string pending_;
  std::size_t searched_ = 0;  ///< of pending_: holds no `#` before it
  std::size_t noise_ = 0;
};

}  // namespace culprit::replay::gdb
