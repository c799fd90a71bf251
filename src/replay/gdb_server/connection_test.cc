#include "replay/gdb_server/connection.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "base/file.h"
#include "base/signals.h"
#include "replay/gdb_server/testing/fake_server.h"

namespace culprit::replay::gdb {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds patient{20'000};
constexpr milliseconds impatient{150};

TEST(Connection, ExchangesPackets) {
  FakeServer server(
      {{"qC", "+" + packet("QCp1.1"), false}, {"m10,2", "+" + packet("beef"), false}});
  Connection connection(server.take_client(), nullptr);
  EXPECT_EQ(connection.exchange("qC", patient).value_or(""), "QCp1.1");
  EXPECT_EQ(connection.exchange("m10,2", patient).value_or(""), "beef");
  EXPECT_TRUE(server.finish().empty());
  EXPECT_EQ(server.acknowledgements(), "++");
}

TEST(Connection, AsksAgainForADamagedPacket) {
  FakeServer server({{"qC", "+$QCp1.1#00", false}, {"", packet("QCp1.1"), false}});
  Connection connection(server.take_client(), nullptr);
  EXPECT_EQ(connection.exchange("qC", patient).value_or(""), "QCp1.1");
  server.finish();
  EXPECT_EQ(server.acknowledgements(), "-+");
}

TEST(Connection, SendsAgainWhatWasRefused) {
  FakeServer server({{"qC", "-", false}, {"qC", "+" + packet("QCp1.1"), false}});
  Connection connection(server.take_client(), nullptr);
  EXPECT_EQ(connection.exchange("qC", patient).value_or(""), "QCp1.1");
  EXPECT_TRUE(server.finish().empty());
}

TEST(Connection, GivesUpALineThatStaysBad) {
  FakeServer server({{"qC", "$a#00$a#00$a#00$a#00$a#00", false}});
  Connection connection(server.take_client(), nullptr);
  const auto answer = connection.exchange("qC", patient);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::bad_input);
  EXPECT_TRUE(connection.closed());
}

TEST(Connection, DamageIsFinalWithoutAcknowledgements) {
  FakeServer server({{"qC", "$QCp1.1#00", false}});
  Connection connection(server.take_client(), nullptr);
  connection.stop_acknowledging();
  const auto answer = connection.exchange("qC", patient);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::bad_input);
}

TEST(Connection, AnInterruptEndsTheWait) {
  install_interrupt_handlers();
  clear_interrupt();
  FakeServer server({{"qC", "", false}});
  Connection connection(server.take_client(), nullptr);
  const auto started = std::chrono::steady_clock::now();
  std::thread user([] {
    std::this_thread::sleep_for(milliseconds(50));
    ::kill(::getpid(), SIGTERM);
  });
  const auto answer = connection.exchange("qC", patient);
  user.join();
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::interrupted);
  EXPECT_LT(std::chrono::steady_clock::now() - started, patient / 2);
  EXPECT_TRUE(connection.closed()) << "the answer would be taken for the next one's";
  clear_interrupt();
}

TEST(Connection, ASilentServerMeetsTheDeadline) {
  FakeServer server({{"qC", "", false}});
  Connection connection(server.take_client(), nullptr);
  const auto answer = connection.exchange("qC", impatient);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::timeout);
  // A late answer must not be taken for that of the next packet.
  EXPECT_TRUE(connection.closed());
  EXPECT_EQ(connection.exchange("qC", patient).error().code, ErrorCode::timeout);
}

TEST(Connection, ATruncatedPacketMeetsTheDeadline) {
  FakeServer server({{"qC", "+$QCp1.", false}});
  Connection connection(server.take_client(), nullptr);
  EXPECT_EQ(connection.exchange("qC", impatient).error().code, ErrorCode::timeout);
}

TEST(Connection, ADeathInTheMiddleOfAPacketIsTold) {
  FakeServer server({{"qC", "+$QCp1.", true}});
  Connection connection(server.take_client(), nullptr);
  const auto answer = connection.exchange("qC", patient);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::replay_failed);
  EXPECT_EQ(connection.exchange("qC", patient).error().code, ErrorCode::replay_failed);
}

TEST(Connection, WritingToADeadServerIsNoSignal) {
  FakeServer server({{"", "", true}});
  Connection connection(server.take_client(), nullptr);
  connection.set_limit(1 << 24);
  const auto answer = connection.exchange(std::string(1 << 22, 'a'), patient);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::replay_failed);
}

TEST(Connection, HugeAnswersAreRefused) {
  FakeServer server({{"g", "$" + std::string((17 << 20), 'a'), false}});
  Connection connection(server.take_client(), nullptr);
  const auto answer = connection.exchange("g", patient);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::bad_input);
}

TEST(Connection, NotificationsInBetweenAreNoAnswers) {
  const std::string notification = "%" + frame("Stop:T05").substr(1);
  FakeServer server({{"qC", "+" + notification + packet("QCp1.1"), false}});
  Connection connection(server.take_client(), nullptr);
  EXPECT_EQ(connection.exchange("qC", patient).value_or(""), "QCp1.1");
}

TEST(Connection, AnAnswerThatNobodyAskedForEndsIt) {
  FakeServer server({{"qC", packet("QCp1.1") + packet("T05thread:p1.1;"), false}});
  Connection connection(server.take_client(), nullptr);
  connection.stop_acknowledging();
  EXPECT_EQ(connection.exchange("qC", patient).value_or(""), "QCp1.1");
  const auto next = connection.exchange("g", patient);
  ASSERT_FALSE(next.ok());
  EXPECT_EQ(next.error().code, ErrorCode::bad_input);
}

TEST(Connection, LongPacketsAreNotSent) {
  FakeServer server({{"qC", packet("OK"), false}});
  Connection connection(server.take_client(), nullptr);
  connection.stop_acknowledging();
  EXPECT_EQ(connection.exchange(std::string(5000, 'a'), patient).error().code, ErrorCode::usage);
  EXPECT_EQ(connection.exchange("qC", patient).value_or(""), "OK");
  EXPECT_TRUE(server.finish().empty());
}

TEST(Connection, WritesATranscript) {
  auto directory = TemporaryDirectory::create("culprit-rsp-test");
  ASSERT_TRUE(directory.ok());
  const std::string path = directory->path() / "log";
  {
    auto log = TranscriptLog::open(path);
    ASSERT_TRUE(log.ok());
    FakeServer server({{"qC", "+" + packet("a\n\\b"), false}});
    Connection connection(server.take_client(), *log);
    EXPECT_TRUE(connection.exchange("qC", patient).ok());
  }
  const auto text = read_file(path, 1 << 16);
  ASSERT_TRUE(text.ok());
  EXPECT_NE(text->find("-> qC\n"), std::string::npos) << *text;
  EXPECT_NE(text->find("<- a\\x0a\\x5cb\n"), std::string::npos) << *text;
  const auto script = script_of(*text);
  ASSERT_EQ(script.size(), 1u);
  EXPECT_EQ(script[0].expected, "qC");
  EXPECT_EQ(script[0].sent, packet("a\n\\b"));
  EXPECT_FALSE(TranscriptLog::open("/nonexistent/log").ok());
}

}  // namespace
}  // namespace culprit::replay::gdb
