#include "replay/gdb_server/packet.h"

#include <gtest/gtest.h>

#include <random>

namespace culprit::replay::gdb {
namespace {

std::vector<Token> tokens(std::string_view stream) {
  PacketDecoder decoder;
  decoder.feed(stream);
  std::vector<Token> out;
  for (;;) {
    auto token = decoder.next();
    EXPECT_TRUE(token.ok()) << token.error().message;
    if (!token.ok() || !*token) return out;
    out.push_back(std::move(**token));
  }
}

std::string payload(std::string_view stream) {
  const auto all = tokens(stream);
  EXPECT_EQ(all.size(), 1u);
  if (all.size() != 1 || all[0].kind != Token::Kind::packet) return "(no packet)";
  return all[0].payload;
}

TEST(Packet, IsFramedAsGdbDoes) {
  EXPECT_EQ(frame("OK"), "$OK#9a");
  EXPECT_EQ(frame(""), "$#00");
  // A sum of 0x103 loses its carry; `}` and its like are escaped with bit 5 flipped.
  EXPECT_EQ(frame("vCont?"), "$vCont?#49");
  EXPECT_EQ(frame("#$}*"), "$}\x03}\x04}]}\n#62");
}

TEST(Packet, ComesBackAsItWasSent) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    for (int i = 0; i < round; ++i) bytes += static_cast<char>(random());
    EXPECT_EQ(payload(frame(bytes)), bytes);
  }
}

TEST(Packet, RepeatsAreExpanded) {
  EXPECT_EQ(payload("$0* #7a"), "0000");                // the GDB manual's example
  EXPECT_EQ(payload("$0*~#d8"), std::string(98, '0'));  // the longest run
  EXPECT_EQ(payload("$}]* #24"), "}}}}");               // of an escaped byte
}

TEST(Packet, BadOnesAreDamaged) {
  for (const char* stream : {
           "$OK#9b",      // checksum
           "$OK#zz",      // no checksum
           "$0*#5a",      // a repeat without its count
           "$*0#5a",      // of nothing
           "$0*\x1c#76",  // a count below 0
           "$}#7d",       // an escape of nothing
       }) {
    const auto all = tokens(stream);
    ASSERT_EQ(all.size(), 1u) << stream;
    EXPECT_EQ(all[0].kind, Token::Kind::damaged) << stream;
    EXPECT_TRUE(all[0].payload.empty());
  }
}

TEST(Packet, StreamsComeInAnyPieces) {
  const std::string stream = "+" + frame("T05thread:p1.1;") + "-%Stop:T05#27noise" + frame("OK");
  for (std::size_t size = 1; size < stream.size(); ++size) {
    PacketDecoder decoder;
    std::vector<Token> all;
    for (std::size_t at = 0; at < stream.size(); at += size) {
      decoder.feed(std::string_view(stream).substr(at, size));
      for (;;) {
        auto token = decoder.next();
        ASSERT_TRUE(token.ok());
        if (!*token) break;
        all.push_back(std::move(**token));
      }
    }
    ASSERT_EQ(all.size(), 5u) << size;
    EXPECT_EQ(all[0].kind, Token::Kind::acknowledged);
    EXPECT_EQ(all[1].payload, "T05thread:p1.1;");
    EXPECT_EQ(all[2].kind, Token::Kind::refused);
    EXPECT_TRUE(all[3].kind == Token::Kind::notification || all[3].kind == Token::Kind::damaged);
    EXPECT_EQ(all[4].payload, "OK");
  }
}

TEST(Packet, WhatNeverEndsIsGivenUp) {
  PacketDecoder decoder;
  decoder.feed("$");
  std::size_t fed = 1;
  const std::string piece(1 << 20, 'a');
  for (;;) {
    auto token = decoder.next();
    if (!token.ok()) break;
    ASSERT_FALSE(token->has_value());
    decoder.feed(piece);
    fed += piece.size();
    ASSERT_LT(fed, 2 * PacketDecoder::most_payload);
  }
}

TEST(Packet, AHugeRepeatIsNotExpanded) {
  // 16 MiB from 350 KiB, had it no bound.
  std::string sent = "0";
  for (int i = 0; i < 175'000; ++i) sent += "*~";
  unsigned sum = 0;
  for (const char c : sent) sum += static_cast<unsigned char>(c);
  char end[8];
  std::snprintf(end, sizeof end, "#%02x", sum & 0xff);
  const auto all = tokens("$" + sent + end);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].kind, Token::Kind::damaged);
}

TEST(Packet, AnotherProtocolIsNoticed) {
  PacketDecoder decoder;
  decoder.feed(std::string(PacketDecoder::most_noise + 1, 'x'));
  EXPECT_FALSE(decoder.next().ok());
}

TEST(Packet, RandomBytesDoNoHarm) {
  std::mt19937 random(2);
  const std::string letters = "$#}*+-%0aT05;:\n\xff";
  for (int round = 0; round < 2000; ++round) {
    PacketDecoder decoder;
    std::string stream;
    for (int i = 0; i < 200; ++i) stream += letters[random() % letters.size()];
    decoder.feed(stream);
    for (int i = 0; i < 300; ++i) {
      auto token = decoder.next();
      if (!token.ok() || !*token) break;
    }
  }
}

}  // namespace
}  // namespace culprit::replay::gdb
