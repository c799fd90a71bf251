#include "replay/gdb_server/client.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "replay/gdb_server/hex.h"
#include "replay/gdb_server/rr_server.h"
#include "replay/gdb_server/testing/fake_server.h"

namespace culprit::replay::gdb {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds patient{20'000};

std::vector<FakeStep> greeting() {
  return {
      {"QStartNoAckMode", "+" + packet("OK"), false},
      {"qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+;no-resumed+",
       packet("PacketSize=1048576;ReverseContinue+;ReverseStep+"), false},
      {"vCont?", packet("vCont;c;C;s;S;"), false},
      {"qC", packet("QCp10.11"), false},
      {"Hgp10.11", packet("OK"), false},
  };
}

std::vector<FakeStep> after_greeting(std::vector<FakeStep> steps) {
  auto out = greeting();
  out.insert(out.end(), steps.begin(), steps.end());
  return out;
}

std::string command_answer(std::string_view text) { return packet(print_hex_bytes(text)); }

Result<std::unique_ptr<Client>> open(FakeServer& server, RrVersion version = {5, 6}) {
  return Client::open(std::make_unique<Connection>(server.take_client(), nullptr), version);
}

TEST(RrVersion, IsReadFromWhatRrPrints) {
  EXPECT_EQ(parse_rr_version("rr version 5.6.0\n")->minor, 6);
  EXPECT_EQ(parse_rr_version("rr version 5.10.0")->minor, 10);
  EXPECT_TRUE(parse_rr_version("rr version 5.8.0")->commands_name_threads());
  EXPECT_FALSE(parse_rr_version("rr version 5.7.0")->commands_name_threads());
  EXPECT_TRUE(parse_rr_version("rr version 6.0.0")->commands_name_threads());
  for (const char* text :
       {"", "rr", "rr version", "rr version x", "rr version 5", "rr version 5."}) {
    EXPECT_FALSE(parse_rr_version(text).ok()) << text;
  }
}

TEST(ListeningPort, IsReadFromWhatRrPrints) {
  EXPECT_EQ(listening_port("Launch gdb with\n  gdb '-l' '10000' '-ex' 'target extended-remote "
                           "127.0.0.1:47131' /tmp/t\n"),
            47131);
  EXPECT_EQ(
      listening_port("Launch debugger with\n  gdb '-ex' 'target extended-remote :50505' /t\n"),
      50505);
  // Not before the line is whole.
  EXPECT_FALSE(listening_port("  gdb '-ex' 'target extended-remote 127.0.0.1:471"));
  EXPECT_FALSE(listening_port("target extended-remote here\n"));
  EXPECT_FALSE(listening_port("target extended-remote a:99999\n"));
}

TEST(Client, CommandsAreSpelledByVersion) {
  // The wrong form ends an rr of the other kind.
  FakeServer old_rr(
      after_greeting({{"qRRCmd:7768656e", command_answer("Current event: 42\n"), false}}));
  auto old_client = open(old_rr, {5, 7});
  ASSERT_TRUE(old_client.ok()) << old_client.error().message;
  EXPECT_EQ((*old_client)->event()->value, 42);
  EXPECT_TRUE(old_rr.finish().empty());

  FakeServer new_rr(
      after_greeting({{"qRRCmd:when:17", command_answer("Completed event: 41\n"), false}}));
  auto new_client = open(new_rr, {5, 8});
  ASSERT_TRUE(new_client.ok());
  EXPECT_EQ((*new_client)->event()->value, 42);
  EXPECT_TRUE(new_rr.finish().empty());
}

TEST(Client, ThreadsComeInPieces) {
  FakeServer server(after_greeting({{"qfThreadInfo", packet("mp10.11,p10.12"), false},
                                    {"qsThreadInfo", packet("mp10.13"), false},
                                    {"qsThreadInfo", packet("l"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  const auto threads = (*client)->threads();
  ASSERT_TRUE(threads.ok());
  ASSERT_EQ(threads->size(), 3u);
  EXPECT_EQ((*threads)[2].thread.value, 0x13);
}

TEST(Client, NeverRemovesWhatIsNotSet) {
  // rr ends on such a packet.
  FakeServer server(
      after_greeting({{"Z2,1000,8", packet("OK"), false}, {"z2,1000,8", packet("OK"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  const StopPoint point{StopPointKind::write_watchpoint, Address{0x1000}, 8};
  EXPECT_TRUE((*client)->remove(point).ok());
  EXPECT_TRUE((*client)->set(point).ok());
  EXPECT_TRUE((*client)->remove(point).ok());
  EXPECT_TRUE((*client)->remove(point).ok());
  EXPECT_TRUE(server.finish().empty());
}

TEST(Client, ARestartForgetsTheStopPoints) {
  FakeServer server(
      after_greeting({{"Z2,1000,8", packet("OK"), false},
                      {"vRun;;" + print_hex_bytes("20"), packet("T05thread:p10.11;"), false},
                      {"Hgp10.11", packet("OK"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  const StopPoint point{StopPointKind::write_watchpoint, Address{0x1000}, 8};
  EXPECT_TRUE((*client)->set(point).ok());
  EXPECT_TRUE((*client)->restart(EventNumber{20}, patient).ok());
  EXPECT_TRUE((*client)->remove(point).ok());
  EXPECT_TRUE(server.finish().empty());
}

TEST(Client, TheFirstStepAfterARestartIsRepeatedIfItDidNothing) {
  FakeServer server(
      after_greeting({{"vRun;;" + print_hex_bytes("c1"), packet("T00thread:p10.11;"), false},
                      {"Hgp10.11", packet("OK"), false},
                      {"vCont;s:p10.11", packet("T00thread:p10.11;"), false},
                      {"Hgp10.11", packet("OK"), false},
                      {"vCont;s:p10.11", packet("T05thread:p10.11;"), false},
                      {"Hgp10.11", packet("OK"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  EXPECT_TRUE((*client)->restart_at_checkpoint(1, patient).ok());
  EXPECT_EQ((*client)->step(Direction::forward, patient)->signal, 5);
  EXPECT_TRUE(server.finish().empty());
}

TEST(Client, AfterTheEndNothingButARestartIsSent) {
  FakeServer server(after_greeting({{"vCont;c", packet("W00"), false},
                                    {"vRun;;31", packet("T05thread:p10.11;"), false},
                                    {"Hgp10.11", packet("OK"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  EXPECT_EQ((*client)->resume(Direction::forward, patient)->kind, StopReply::Kind::exited);
  EXPECT_EQ((*client)->registers().error().code, ErrorCode::usage);
  EXPECT_EQ((*client)->event().error().code, ErrorCode::usage);
  EXPECT_EQ((*client)->resume(Direction::backward, patient).error().code, ErrorCode::usage);
  EXPECT_TRUE((*client)->restart(EventNumber{1}, patient).ok());
  EXPECT_TRUE(server.finish().empty());
}

TEST(Client, AConditionGoesToTheServer) {
  const std::string condition = equals_condition(Address{0x4a62e0}, 0x3000);
  EXPECT_EQ(print_hex_bytes(condition), "2500000000004a62e01a2500000000000030001327");
  FakeServer server(
      after_greeting({{"Z2,4a62e0,8;X15," + print_hex_bytes(condition), packet("OK"), false},
                      {"Z2,5000,8", packet("E01"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  EXPECT_TRUE(
      (*client)->set({StopPointKind::write_watchpoint, Address{0x4a62e0}, 8}, condition).ok());
  EXPECT_EQ((*client)->set({StopPointKind::write_watchpoint, Address{0x5000}, 8}).error().code,
            ErrorCode::usage);
}

TEST(Client, MemoryEndsWhereTheServerSaysSo) {
  FakeServer server(after_greeting({{"m1000,8", packet("0102"), false},
                                    {"m2000,8", packet("E01"), false},
                                    {"m3000,2", packet("010203"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  std::byte bytes[8];
  EXPECT_EQ((*client)->read(Address{0x1000}, bytes).value_or(9), 2u);
  EXPECT_EQ(bytes[1], std::byte{2});
  EXPECT_EQ((*client)->read(Address{0x2000}, bytes).value_or(9), 0u);
  // More than was asked for.
  EXPECT_EQ((*client)->read(Address{0x3000}, std::span(bytes, 2)).error().code,
            ErrorCode::bad_input);
}

TEST(Client, AnswersThatMakeNoSenseAreErrors) {
  for (const auto& [asked, answer] : std::vector<std::pair<std::string, std::string>>{
           {"g", "00"}, {"g", "zz"}, {"g", ""}, {"g", std::string(5000, 'x')}}) {
    FakeServer server(after_greeting({{asked, packet(answer), false}}));
    auto client = open(server);
    ASSERT_TRUE(client.ok());
    EXPECT_EQ((*client)->registers().error().code, ErrorCode::bad_input) << answer;
  }
  FakeServer server(after_greeting({{"vCont;c", packet("OK"), false},
                                    {"qRRCmd:7768656e", packet("zz"), false},
                                    {"qRRCmd:7768656e", command_answer("Current event: \n"), false},
                                    {"qfThreadInfo", packet("mfoo"), false}}));
  auto client = open(server);
  ASSERT_TRUE(client.ok());
  EXPECT_FALSE((*client)->resume(Direction::forward, patient).ok());
  EXPECT_FALSE((*client)->event().ok());
  EXPECT_FALSE((*client)->event().ok());
  EXPECT_FALSE((*client)->threads().ok());
}

TEST(Client, AServerOfAnotherKindIsRefused) {
  for (const std::size_t broken : {0u, 1u, 2u, 3u, 4u}) {
    auto script = greeting();
    script[broken].sent = packet("E01");
    script.resize(broken + 1);
    FakeServer server(script);
    EXPECT_FALSE(open(server).ok()) << broken;
  }
}

/// What the client did when the transcript was made (reverse_engine_e2e_test.cc writes such files):
/// searches the last writer of a global in a crashed program.
TEST(Client, ReadsATranscriptOfTheRealRr) {
  const auto text = read_file(
      CULPRIT_SOURCE_DIR "/src/replay/gdb_server/testdata/rr-5.6.0-last-writer.rsp", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.error().message;
  FakeServer server(script_of(*text));
  auto opened = open(server);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  Client& client = **opened;
  const auto crash = client.resume(Direction::forward, patient);
  ASSERT_TRUE(crash.ok()) << crash.error().message;
  EXPECT_EQ(crash->signal, 11);
  EXPECT_EQ(client.event()->value, 42);
  const auto at_crash = client.registers();
  ASSERT_TRUE(at_crash.ok());
  EXPECT_EQ(at_crash->rip, 0x4016e2u);
  EXPECT_EQ((*at_crash)[Gpr::rax], 0x2000u);
  const StopPoint slot{StopPointKind::write_watchpoint, Address{0x4a62e0}, 8};
  ASSERT_TRUE(client.set(slot).ok());
  // The first one only gets back to the signal.
  const auto signal = client.resume(Direction::backward, patient);
  ASSERT_TRUE(signal.ok());
  EXPECT_FALSE(signal->watch);
  const auto writer = client.resume(Direction::backward, patient);
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ(writer->watch, slot.address);
  const auto before = client.registers();
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(before->rip, 0x40163fu);
  EXPECT_EQ((*before)[Gpr::rax], 0x2000u);
  std::byte bytes[8];
  EXPECT_EQ(client.read(slot.address, bytes).value_or(0), 8u);
  EXPECT_EQ(bytes[1], std::byte{0x30});
  EXPECT_EQ(client.ticks().value_or(0), 9408u);
  const auto checkpoint = client.make_checkpoint(patient);
  ASSERT_TRUE(checkpoint.ok());
  ASSERT_TRUE(client.step(Direction::backward, patient).ok());
  ASSERT_TRUE(client.restart_at_checkpoint(*checkpoint, patient).ok());
  EXPECT_EQ(client.registers()->rip, 0x40163fu);
  ASSERT_TRUE(client.step(Direction::forward, patient).ok());
  EXPECT_EQ(client.registers()->rip, 0x401646u);
  EXPECT_TRUE(client.delete_checkpoint(*checkpoint).ok());
  EXPECT_TRUE(server.finish().empty());
}

}  // namespace
}  // namespace culprit::replay::gdb
