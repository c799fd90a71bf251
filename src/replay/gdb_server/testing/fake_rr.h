// A model of rr's gdb server over a recorded execution of a few instructions, as one with a
// hardware counter has it: it runs forward and backward, keeps checkpoints, and stops where rr 5.6
// stops. For what a machine without a counter cannot try, and for servers that misbehave at any
// packet.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/registers.h"
#include "replay/gdb_server/client.h"
#include "replay/gdb_server/hex.h"
#include "replay/gdb_server/packet.h"
#include "replay/gdb_server/testing/packet_stream.h"

namespace culprit::replay::gdb {

/// One instruction of the recorded execution, in order.
struct FakeInstruction {
  std::uint64_t rip = 0;
  std::array<std::uint64_t, 16> gpr{};  ///< before it
  std::int64_t event = 0;               ///< of the next frame, before it
  std::uint64_t ticks = 0;              ///< before it
  struct Access {
    std::uint64_t address = 0;
    std::optional<std::uint64_t> stored;  ///< eight bytes; nothing: it is only read
  };
  std::optional<Access> access;
  int signal = 0;  ///< it faults
};

struct FakeExecution {
  std::vector<FakeInstruction> instructions;
  std::map<std::uint64_t, std::uint64_t> memory;      ///< words at the start
  std::uint8_t store_code = 0x01, other_code = 0x02;  ///< first byte of an instruction
  std::string thread = "p64.64";                      ///< whose it is, as gdb names threads
};

/// What the server does instead of its `at`-th answer (from 0).
struct Misbehaviour {
  enum class Kind { none, silent, closes, truncated, garbage, error, empty };
  Kind kind = Kind::none;
  std::size_t at = 0;
};

class FakeRr {
 public:
  explicit FakeRr(FakeExecution execution, Misbehaviour misbehaviour = {})
      : execution_(std::move(execution)), misbehaviour_(misbehaviour) {
    client_ = stream_.open();
    if (!client_) return;
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeRr() {
    client_.reset();
    stream_.stop();
    if (thread_.joinable()) thread_.join();
  }
  FakeRr(const FakeRr&) = delete;
  FakeRr& operator=(const FakeRr&) = delete;

  Result<std::unique_ptr<Client>> connect() {
    return Client::open(std::make_unique<Connection>(std::move(client_), nullptr), RrVersion{5, 6});
  }
  /// Answers so far.
  std::size_t answers() const { return answers_; }
  /// Checkpoints that were not deleted.
  std::size_t checkpoints() const { return living_checkpoints_; }
  /// Ends the server: the first packet that rr would not have understood.
  std::string finish() {
    stream_.stop();
    if (thread_.joinable()) thread_.join();
    return complaint_;
  }

 private:
  struct Point {
    int kind = 0;
    std::uint64_t address = 0;
    bool operator<(const Point& other) const {
      return std::pair(kind, address) < std::pair(other.kind, other.address);
    }
  };

  const FakeInstruction& at(std::size_t i) const { return execution_.instructions[i]; }
  std::size_t last() const { return execution_.instructions.size() - 1; }

  /// The word at `address` before instruction `i`.
  std::optional<std::uint64_t> word(std::uint64_t address, std::size_t i) const {
    const auto start = execution_.memory.find(address);
    if (start == execution_.memory.end()) return std::nullopt;
    std::uint64_t value = start->second;
    for (std::size_t j = 0; j < i; ++j) {
      const auto& access = at(j).access;
      if (access && access->address == address && access->stored) value = *access->stored;
    }
    return value;
  }

  std::optional<std::uint8_t> byte(std::uint64_t address, std::size_t i) const {
    for (const FakeInstruction& each : execution_.instructions) {
      if (address - each.rip >= 8) continue;
      const bool stores = each.access && each.access->stored;
      return address == each.rip && stores ? execution_.store_code : execution_.other_code;
    }
    const auto value = word(address & ~std::uint64_t{7}, i);
    if (!value) return std::nullopt;
    return static_cast<std::uint8_t>(*value >> 8 * (address & 7));
  }

  /// The watchpoint that instruction `i` hits, if any.
  std::optional<std::uint64_t> watched(std::size_t i) const {
    const auto& access = at(i).access;
    if (!access) return std::nullopt;
    if (points_.contains({4, access->address})) return access->address;
    const bool changes = access->stored && word(access->address, i) != *access->stored;
    if (changes && points_.contains({2, access->address})) return access->address;
    return std::nullopt;
  }

  /// A breakpoint on instruction `i` whose condition holds.
  bool breaks(std::size_t i) const {
    for (const int kind : {0, 1}) {
      const auto point = points_.find({kind, at(i).rip});
      if (point != points_.end() && holds(point->second, i)) return true;
    }
    return false;
  }

  /// const64 ADDRESS ref64 const64 VALUE equal end, as Client makes it; empty holds.
  bool holds(const std::string& condition, std::size_t i) const {
    if (condition.empty()) return true;
    if (condition.size() != 21 || condition[0] != '\x25' || condition[9] != '\x1a' ||
        condition[10] != '\x25' || condition[19] != '\x13' || condition[20] != '\x27') {
      return true;  // as rr: what it cannot evaluate stops
    }
    const auto constant = [&](std::size_t from) {
      std::uint64_t out = 0;
      for (std::size_t k = 0; k < 8; ++k) {
        out = out << 8 | static_cast<unsigned char>(condition[from + k]);
      }
      return out;
    };
    return word(constant(1), i) == constant(11);
  }

  std::string stop(int signal, const std::string& more = "") const {
    char text[8];
    std::snprintf(text, sizeof text, "T%02x", static_cast<unsigned>(signal));
    return std::string(text) + "thread:" + execution_.thread + ";" + more;
  }

  std::string run(bool forward, bool one_step) {
    if (std::exchange(fresh_, false)) return stop(0);
    if (forward) {
      for (;;) {
        if (at(now_).signal != 0) {
          if (std::exchange(fault_told_, true)) {
            ended_ = true;
            return "X0b";
          }
          return stop(at(now_).signal);
        }
        if (now_ == last()) {
          ended_ = true;
          return "X0b";
        }
        const auto watch = watched(now_);
        ++now_;
        if (watch) return stop(5, "watch:" + print_hex(*watch) + ";");
        if (breaks(now_)) return stop(5, "swbreak:;");
        if (one_step) return stop(5);
      }
    }
    fault_told_ = false;
    for (;;) {
      if (now_ == 0) return stop(0);
      --now_;
      if (at(now_).signal != 0) return stop(at(now_).signal);
      if (const auto watch = watched(now_)) return stop(5, "watch:" + print_hex(*watch) + ";");
      if (breaks(now_)) return stop(5, "swbreak:;");
      if (one_step) return stop(5);
    }
  }

  std::string registers() const {
    std::string bytes;
    const auto put = [&](std::uint64_t value, std::size_t size) {
      for (std::size_t k = 0; k < size; ++k) bytes += static_cast<char>(value >> 8 * k);
    };
    const FakeInstruction& i = at(now_);
    // gdb's order: rax rbx rcx rdx rsi rdi rbp rsp r8 ... r15.
    for (const std::size_t r :
         {0u, 3u, 1u, 2u, 6u, 7u, 5u, 4u, 8u, 9u, 10u, 11u, 12u, 13u, 14u, 15u}) {
      put(i.gpr[r], 8);
    }
    put(i.rip, 8);
    put(0x246, 4);
    bytes.append(6 * 4 + 8 * 10 + 8 * 4 + 16 * 16 + 4, '\0');
    put(~std::uint64_t{0}, 8);
    put(0, 8);
    put(0, 8);
    return print_hex_bytes(bytes);
  }

  std::string command(const std::string& name, const std::string& argument) {
    if (name == "when") return "Current event: " + std::to_string(at(now_).event) + "\n";
    if (name == "when-ticks") return "Current tick: " + std::to_string(at(now_).ticks) + "\n";
    if (name == "checkpoint") {
      checkpoints_[++newest_checkpoint_] = now_;
      living_checkpoints_ = checkpoints_.size();
      return "Checkpoint " + std::to_string(newest_checkpoint_) + " at " + argument + "\n";
    }
    if (name == "delete checkpoint" && checkpoints_.erase(std::stoul(argument)) == 1) {
      living_checkpoints_ = checkpoints_.size();
      return "Deleted checkpoint " + argument + ".\n";
    }
    complain("qRRCmd " + name + " " + argument);
    return "no such command";
  }

  std::string restart(const std::string& target) {
    points_.clear();
    fresh_ = true;
    ended_ = fault_told_ = false;
    if (target.starts_with("c")) {
      const auto found = checkpoints_.find(std::stoul(target.substr(1)));
      if (found == checkpoints_.end()) {
        complain("vRun " + target);
        return "E01";
      }
      now_ = found->second;
      return stop(0);
    }
    // Behind the frame.
    const std::int64_t event = std::stoll(target);
    for (now_ = 0; at(now_).event <= event; ++now_) {
      if (now_ == last()) return "X09";
    }
    return stop(0);
  }

  std::string answer(const std::string& packet) {
    const auto starts = [&](std::string_view with) { return packet.starts_with(with); };
    if (starts("vRun;;")) return restart(*parse_hex_bytes(packet.substr(6)));
    if (ended_) {
      complain(packet + " after the end");
      return "E01";
    }
    if (packet == "QStartNoAckMode") return "OK";
    if (starts("qSupported")) {
      return "PacketSize=1048576;ReverseContinue+;ReverseStep+;ConditionalBreakpoints+";
    }
    if (packet == "vCont?") return "vCont;c;C;s;S;";
    if (packet == "qC") return "QC" + execution_.thread;
    if (packet == "qfThreadInfo") return "m" + execution_.thread;
    if (packet == "qsThreadInfo") return "l";
    if (packet == "Hg" + execution_.thread || packet == "Hc" + execution_.thread ||
        packet == "Hcp-1.-1") {
      return "OK";
    }
    if (starts("Hg")) return "E01";
    if (packet == "g") return registers();
    if (packet == "vCont;c") return run(true, false);
    if (packet == "vCont;s:" + execution_.thread) return run(true, true);
    if (packet == "bc") return run(false, false);
    if (packet == "bs") return run(false, true);
    if (starts("qRRCmd:")) {
      const std::size_t colon = packet.find(':', 7);
      const auto name = parse_hex_bytes(packet.substr(7, colon == packet.npos ? colon : colon - 7));
      const auto argument = colon == packet.npos ? std::optional<std::string>("")
                                                 : parse_hex_bytes(packet.substr(colon + 1));
      return print_hex_bytes(command(name.value_or(""), argument.value_or("")));
    }
    if (starts("m")) {
      const std::size_t comma = packet.find(',');
      const auto address = parse_hex<std::uint64_t>(packet.substr(1, comma - 1));
      const auto size = parse_hex<std::uint64_t>(packet.substr(comma + 1));
      std::string bytes;
      for (std::uint64_t k = 0; k < *size; ++k) {
        const auto value = byte(*address + k, now_);
        if (!value) break;
        bytes += static_cast<char>(*value);
      }
      return bytes.empty() ? "E01" : print_hex_bytes(bytes);
    }
    if (starts("Z") || starts("z")) {
      const std::size_t comma = packet.find(',', 3);
      const Point point{packet[1] - '0', *parse_hex<std::uint64_t>(packet.substr(3, comma - 3))};
      if (packet[0] == 'z') {
        if (points_.erase(point) == 0) complain(packet + ", which was not set");
        return "OK";
      }
      if (!byte(point.address, now_)) return "E01";
      const std::size_t condition = packet.find(";X");
      points_[point] = condition == packet.npos
                           ? ""
                           : *parse_hex_bytes(packet.substr(packet.find(',', condition) + 1));
      return "OK";
    }
    complain(packet);
    return "";
  }

  void complain(const std::string& what) {
    if (complaint_.empty()) complaint_ = what;
  }

  void serve() {
    std::string packet;
    while (stream_.next(packet)) {
      std::string bytes = frame(answer(packet));
      if (packet == "QStartNoAckMode") bytes = "+" + bytes;
      if (misbehaviour_.kind != Misbehaviour::Kind::none && answers_ == misbehaviour_.at) {
        switch (misbehaviour_.kind) {
          case Misbehaviour::Kind::none:
            break;
          case Misbehaviour::Kind::silent:
            bytes.clear();
            break;
          case Misbehaviour::Kind::closes:
            stream_.close();
            return;
          case Misbehaviour::Kind::truncated:
            bytes.resize(bytes.size() / 2);
            break;
          case Misbehaviour::Kind::garbage:
            bytes = frame("T5zz;thread:p0.0;\x80*");
            break;
          case Misbehaviour::Kind::error:
            bytes = frame("E22");
            break;
          case Misbehaviour::Kind::empty:
            bytes = frame("");
            break;
        }
      }
      ++answers_;
      if (!stream_.send(bytes)) return;
      if (misbehaviour_.kind == Misbehaviour::Kind::truncated && answers_ == misbehaviour_.at + 1) {
        stream_.close();
        return;
      }
    }
  }

  FakeExecution execution_;
  Misbehaviour misbehaviour_;
  FileDescriptor client_;
  PacketStream stream_{2};
  std::map<Point, std::string> points_;  ///< with their conditions
  std::map<unsigned long, std::size_t> checkpoints_;
  unsigned long newest_checkpoint_ = 0;
  std::size_t now_ = 0;
  bool fresh_ = false, ended_ = false, fault_told_ = false;
  std::string complaint_;
  std::atomic<std::size_t> answers_{0}, living_checkpoints_{0};
  std::thread thread_;
};

}  // namespace culprit::replay::gdb
