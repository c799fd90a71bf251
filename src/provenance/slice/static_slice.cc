#include "provenance/slice/static_slice.h"

#include <algorithm>

#include "provenance/slice/static_path.h"
#include "provenance/slice/symbolic_values.h"
#include "x86/data_flow.h"
#include "x86/find_writer.h"

namespace culprit::provenance {
namespace {

using x86::DataFlow;
using x86::DataFlowEdge;
using x86::FlowKind;
using x86::FlowPlace;
using x86::Instruction;
using x86::MemoryBytes;
using x86::RegisterBytes;
using x86::RegisterClass;

constexpr std::uint64_t kMaxAsked = 64;

std::uint64_t low_bytes(std::uint64_t value, std::uint64_t size) {
  return size >= 8 ? value : value & ((std::uint64_t{1} << (8 * size)) - 1);
}

// Memory whose address is a formula.
struct SymbolicMemory {
  SymbolicAddress address;
  std::uint32_t size = 0;
};

// Some of the asked bytes on their way back: at `place` just before instruction `moment`.
struct Traveller {
  std::variant<RegisterBytes, SymbolicMemory> place;
  std::size_t moment = 0;
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  bool crossed_call = false;
  std::vector<PathStep> path;
  // Set while in memory that was loaded: the answer if no store is found.
  std::optional<StaticPiece> load;
};

// [first, first + count) of a run.
struct Part {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

// Where [0, size) and [distance, distance + other) overlap, in terms of the first; distance is
// modulo 2^64, so that the second may begin below the first.
std::optional<Part> overlap(std::uint64_t distance, std::uint32_t size, std::uint32_t other) {
  if (distance < size) {
    return Part{static_cast<std::uint32_t>(distance),
                std::min(size - static_cast<std::uint32_t>(distance), other)};
  }
  const std::uint64_t below = std::uint64_t{0} - distance;
  if (below >= other) return std::nullopt;
  return Part{0, std::min(size, other - static_cast<std::uint32_t>(below))};
}

bool is_call_result(const RegisterBytes& r, CallConvention convention) {
  if (r.cls == RegisterClass::gpr) {
    switch (static_cast<Gpr>(r.number)) {
      case Gpr::rax:
        return true;
      case Gpr::rdx:
        return convention == CallConvention::system_v;
      // Go's result registers: rax rbx rcx rdi rsi r8 r9 r10 r11 (abi-internal.md, amd64).
      case Gpr::rbx:
      case Gpr::rcx:
      case Gpr::rdi:
      case Gpr::rsi:
      case Gpr::r8:
      case Gpr::r9:
      case Gpr::r10:
      case Gpr::r11:
        return convention == CallConvention::go_internal;
      default:
        return false;
    }
  }
  if (r.cls != RegisterClass::vector) return false;
  return r.number < (convention == CallConvention::system_v ? 2 : 15);
}

class Tracer {
 public:
  Tracer(const StaticQuery& query, StaticPath path)
      : query_(query), path_(std::move(path)), flows_(make_flows()), values_(path_, flows_, query) {
    result_.indirect_jumps = path_.indirect_jumps;
  }

  Result<StaticSlice> run() {
    CULPRIT_TRY(ask());
    while (!travellers_.empty()) {
      Traveller t = std::move(travellers_.back());
      travellers_.pop_back();
      follow(std::move(t));
    }
    std::sort(result_.pieces.begin(), result_.pieces.end(),
              [](const StaticPiece& a, const StaticPiece& b) { return a.offset < b.offset; });
    join_neighbours();
    return std::move(result_);
  }

 private:
  std::size_t count() const { return path_.instructions.size(); }

  std::vector<DataFlow> make_flows() const {
    std::vector<DataFlow> flows;
    flows.reserve(count());
    for (std::size_t k = 0; k < count(); ++k) {
      const Instruction& instruction = path_.instructions[k];
      const DataFlow flow = x86::data_flow(instruction, nullptr);
      if (k + 1 == count() && query_.after && flow.depends_on_registers) {
        // The flags after it, and the string pointers, say what it did.
        const auto before = x86::registers_before(instruction, query_.registers);
        flows.push_back(x86::data_flow(instruction, &before.registers, &query_.registers));
      } else {
        flows.push_back(flow);
      }
    }
    return flows;
  }

  Status ask() {
    if (const auto* stored = std::get_if<StoredBytes>(&query_.asked)) return ask_stored(*stored);
    Traveller t;
    t.moment = count();
    if (const auto* r = std::get_if<RegisterBytes>(&query_.asked)) {
      if (r->size == 0 || r->size > kMaxAsked ||
          unsigned{r->offset} + r->size > x86::register_width(r->cls))
        return bad_request();
      t.place = *r;
      t.size = r->size;
    } else {
      const auto& range = std::get<ByteRange>(query_.asked);
      if (range.size == 0 || range.size > kMaxAsked) return bad_request();
      t.size = static_cast<std::uint32_t>(range.size);
      SymbolicMemory memory;
      memory.address.offset = range.start.value;
      memory.address.value = range.start.value;
      memory.size = t.size;
      t.place = memory;
    }
    travellers_.push_back(std::move(t));
    return {};
  }

  static Status bad_request() {
    return Error{ErrorCode::bad_input, "a static slice must be asked for 1 to 64 existing bytes"};
  }

  Status ask_stored(const StoredBytes& stored) {
    if (!query_.after || count() == 0 || stored.size == 0 || stored.size > kMaxAsked)
      return bad_request();
    const Instruction& last = path_.instructions.back();
    if (stored.operand >= last.memory.size() || !last.memory[stored.operand].written ||
        stored.offset > last.memory[stored.operand].size ||
        stored.size > last.memory[stored.operand].size - stored.offset)
      return bad_request();
    Traveller t;
    t.moment = count();
    t.size = stored.size;
    SymbolicMemory memory;
    memory.address = values_.address(count() - 1, last.memory[stored.operand]).plus(stored.offset);
    memory.size = stored.size;
    t.place = memory;
    std::vector<std::pair<Part, std::size_t>> hits;
    const DataFlow& flow = flows_.back();
    for (std::size_t e = 0; e < flow.edges.size(); ++e) {
      const auto* m = std::get_if<MemoryBytes>(&flow.edges[e].destination);
      if (m == nullptr || m->operand != stored.operand) continue;
      // A rep whose element is not known writes the operand as a whole.
      const std::uint32_t size = m->size != 0 ? m->size : last.memory[stored.operand].size;
      if (const auto part = overlap(std::uint64_t{m->offset} - stored.offset, stored.size, size))
        hits.emplace_back(*part, e);
    }
    dispatch(t, count() - 1, hits, [&](const DataFlowEdge& e, const Part& part) {
      return stored.offset + part.first - std::get<MemoryBytes>(e.destination).offset;
    });
    return {};
  }

  // --- walking ---------------------------------------------------------------------------------

  void follow(Traveller t) {
    for (std::size_t k = t.moment; k-- > 0;) {
      const bool stopped =
          std::holds_alternative<RegisterBytes>(t.place) ? register_step(t, k) : memory_step(t, k);
      if (stopped) return;
    }
    at_path_start(t);
  }

  // True if the traveller's way ended or was handed on.
  bool register_step(Traveller& t, std::size_t k) {
    const RegisterBytes r = std::get<RegisterBytes>(t.place);
    if (goes_past_call(path_, k, query_.after)) {
      if (kept_by_callee(r, path_.instructions[k], query_)) return false;
      if (survives_call(r, query_.convention)) {
        t.crossed_call = true;
        return false;
      }
      StaticPiece piece = piece_of(t, path_.instructions[k].address);
      piece.end =
          is_call_result(r, query_.convention) ? StaticEnd::call_result : StaticEnd::call_clobbered;
      piece.place = r;
      finish(std::move(piece), t);
      return true;
    }
    std::vector<std::pair<Part, std::size_t>> hits;
    const DataFlow& flow = flows_[k];
    for (std::size_t e = 0; e < flow.edges.size(); ++e) {
      const auto* d = std::get_if<RegisterBytes>(&flow.edges[e].destination);
      if (d == nullptr || !d->overlaps(r)) continue;
      if (const auto part = overlap(std::uint64_t{d->offset} - r.offset, r.size, d->size))
        hits.emplace_back(*part, e);
    }
    if (hits.empty()) return false;
    dispatch(t, k, hits, [&](const DataFlowEdge& e, const Part& part) {
      return static_cast<std::uint32_t>(r.offset + part.first -
                                        std::get<RegisterBytes>(e.destination).offset);
    });
    return true;
  }

  bool memory_step(Traveller& t, std::size_t k) {
    const Instruction& instruction = path_.instructions[k];
    const auto& memory = std::get<SymbolicMemory>(t.place);
    const bool call = goes_past_call(path_, k, query_.after);
    if (call || instruction.category == x86::Category::system_call) {
      stop_in_memory(t, instruction.address,
                     call ? "a call in between may have written the memory"
                          : "a system call in between may have written the memory");
      return true;
    }
    if (!instruction.writes_memory()) return false;
    std::vector<std::pair<Part, std::size_t>> hits;
    std::vector<std::uint64_t> distances;
    const DataFlow& flow = flows_[k];
    distances.resize(flow.edges.size());
    for (std::size_t e = 0; e < flow.edges.size(); ++e) {
      const auto* m = std::get_if<MemoryBytes>(&flow.edges[e].destination);
      if (m == nullptr) continue;
      const x86::MemOperand& operand = instruction.memory[m->operand];
      const auto to_store = distance(memory.address, values_.address(k, operand).plus(m->offset));
      if (!to_store || m->size == 0 || operand.repeated) {
        stop_in_memory(t, instruction.address, "a store in between may be to the same address");
        return true;
      }
      distances[e] = *to_store;
      if (const auto part = overlap(*to_store, memory.size, m->size)) hits.emplace_back(*part, e);
    }
    if (hits.empty()) return false;
    dispatch(t, k, hits, [&](const DataFlowEdge& e, const Part& part) {
      const auto index = static_cast<std::size_t>(&e - flow.edges.data());
      return static_cast<std::uint32_t>(part.first - distances[index]);
    });
    return true;
  }

  // Hands each hit part to its edge, and lets the rest go on from moment k. `into` gives a part's
  // offset within the edge's destination.
  template <typename Into>
  void dispatch(const Traveller& t, std::size_t k, std::vector<std::pair<Part, std::size_t>>& hits,
                Into into) {
    std::sort(hits.begin(), hits.end(),
              [](const auto& a, const auto& b) { return a.first.first < b.first.first; });
    std::uint32_t done = 0;
    for (const auto& [hit, index] : hits) {
      Part part = hit;
      if (part.first < done) {  // two edges for one byte: the first one counts
        if (part.first + part.count <= done) continue;
        part.count -= done - part.first;
        part.first = done;
      }
      if (part.first > done) rest(t, k, {done, part.first - done});
      const DataFlowEdge& e = flows_[k].edges[index];
      apply(subset(t, part), e, into(e, part), k);
      done = part.first + part.count;
    }
    if (done < t.size) rest(t, k, {done, t.size - done});
  }

  void rest(const Traveller& t, std::size_t k, const Part& part) {
    Traveller r = subset(t, part);
    r.moment = k;
    travellers_.push_back(std::move(r));
  }

  static Traveller subset(const Traveller& t, const Part& part) {
    Traveller r = t;
    r.offset += part.first;
    r.size = part.count;
    if (auto* reg = std::get_if<RegisterBytes>(&r.place)) {
      reg->offset = static_cast<std::uint8_t>(reg->offset + part.first);
      reg->size = static_cast<std::uint8_t>(part.count);
    } else {
      auto& memory = std::get<SymbolicMemory>(r.place);
      memory.address = memory.address.plus(part.first);
      memory.size = part.count;
    }
    if (r.load) {
      r.load->offset += part.first;
      r.load->size = part.count;
      r.load->operand_offset += part.first;
      if (r.load->address) r.load->address = *r.load->address + part.first;
      narrow_last_step(r.load->path, part);
    }
    narrow_last_step(r.path, part);
    return r;
  }

  // The newest place of a path that has been cut is cut with it; older steps keep their bytes.
  static void narrow_last_step(std::vector<PathStep>& path, const Part& part) {
    if (path.empty() || !path.back().from) return;
    if (auto* reg = std::get_if<RegisterBytes>(&*path.back().from)) {
      reg->offset = static_cast<std::uint8_t>(reg->offset + part.first);
      reg->size = static_cast<std::uint8_t>(part.count);
    } else {
      auto& range = std::get<ByteRange>(*path.back().from);
      range = {range.start + part.first, part.count};
    }
  }

  // All of `t` was written by `e`, from byte `into` of its destination on.
  void apply(Traveller t, const DataFlowEdge& e, std::uint32_t into, std::size_t k) {
    const Instruction& instruction = path_.instructions[k];
    const std::optional<Place> to = concrete(t.place);
    t.load.reset();  // a store was found, or the way goes on from a register
    if (e.kind != FlowKind::copy || e.sources.empty()) {
      t.path.push_back({0, instruction.address, e.kind, std::nullopt, to});
      finish_edge(t, e, into, k);
      return;
    }
    const FlowPlace& source = e.sources[0];
    if (const auto* r = std::get_if<RegisterBytes>(&source)) {
      t.place = RegisterBytes{r->cls, r->number, static_cast<std::uint8_t>(r->offset + into),
                              static_cast<std::uint8_t>(t.size)};
      t.path.push_back({0, instruction.address, e.kind, concrete(t.place), to});
      t.moment = k;
      travellers_.push_back(std::move(t));
      return;
    }
    const auto& m = std::get<MemoryBytes>(source);
    const x86::MemOperand& operand = instruction.memory[m.operand];
    SymbolicMemory memory;
    memory.address = values_.address(k, operand).plus(m.offset + into);
    memory.size = t.size;
    t.place = memory;
    t.path.push_back({0, instruction.address, e.kind, concrete(t.place), to});
    StaticPiece load = piece_of(t, instruction.address);
    load.end = StaticEnd::load;
    if (memory.address.value) load.address = Address{*memory.address.value};
    load.operand = operand;
    load.operand_offset = m.offset + into;
    t.moment = k;
    if (instruction.repeated) {
      // Earlier iterations may have stored there.
      finish(std::move(load), t);
      return;
    }
    certify(load, t);
    t.load = std::move(load);
    travellers_.push_back(std::move(t));
  }

  void finish_edge(const Traveller& t, const DataFlowEdge& e, std::uint32_t into, std::size_t k) {
    const Instruction& instruction = path_.instructions[k];
    StaticPiece piece = piece_of(t, instruction.address);
    switch (e.kind) {
      case FlowKind::immediate:
        piece.end = StaticEnd::immediate;
        piece.constant = into < 8 ? low_bytes(e.constant.value_or(0) >> (8 * into), t.size) : 0;
        break;
      case FlowKind::zero:
        piece.end = StaticEnd::zero;
        break;
      case FlowKind::address:
        piece.end = StaticEnd::address;
        break;
      case FlowKind::arithmetic:
        piece.end = StaticEnd::arithmetic;
        break;
      case FlowKind::select:
        piece.end = StaticEnd::select;
        break;
      case FlowKind::system_call:
        piece.end = StaticEnd::system_call;
        break;
      default:
        piece.end = StaticEnd::unknown;
        break;
    }
    if (e.kind != FlowKind::immediate) piece.constant = e.constant;
    for (const FlowPlace& source : e.sources) {
      std::optional<Address> address;
      if (const auto* m = std::get_if<MemoryBytes>(&source)) {
        const auto symbolic = values_.address(k, instruction.memory[m->operand]).plus(m->offset);
        if (symbolic.value) address = Address{*symbolic.value};
      }
      piece.inputs.push_back(source);
      piece.input_addresses.push_back(address);
    }
    finish(std::move(piece), t);
  }

  // --- ends ------------------------------------------------------------------------------------

  void at_path_start(Traveller& t) {
    if (std::holds_alternative<SymbolicMemory>(t.place)) {
      stop_in_memory(t, path_.leader, "");
      return;
    }
    StaticPiece piece = piece_of(t, path_.leader);
    piece.end = path_.from_entry ? StaticEnd::argument : StaticEnd::live_in;
    piece.place = std::get<RegisterBytes>(t.place);
    finish(std::move(piece), t);
  }

  void stop_in_memory(Traveller& t, Address pc, const char* why) {
    if (t.load) {
      if (t.load->note.empty()) t.load->note = why;
      result_.pieces.push_back(std::move(*t.load));
      return;
    }
    StaticPiece piece = piece_of(t, pc);
    piece.end = StaticEnd::memory_at_end;
    const auto& memory = std::get<SymbolicMemory>(t.place);
    if (memory.address.value) piece.address = Address{*memory.address.value};
    piece.note = why;
    finish(std::move(piece), t);
  }

  static StaticPiece piece_of(const Traveller& t, Address pc) {
    StaticPiece piece;
    piece.offset = t.offset;
    piece.size = t.size;
    piece.pc = pc;
    piece.path = t.path;
    return piece;
  }

  void certify(StaticPiece& piece, const Traveller& t) const {
    const char* doubt = "";
    if (values_.contradicted()) {
      doubt = "the registers contradict the code";
    } else if (path_.indirect_jumps) {
      doubt = "the function has indirect jumps, which may lead anywhere in it";
    } else if (path_.unclean) {
      doubt = "the function holds bytes that are no instructions";
    } else if (t.crossed_call) {
      doubt = "assumes that the call in between preserves the register as its convention says";
    }
    piece.certainty = *doubt == '\0' ? Certainty::proved : Certainty::likely;
    if (*doubt != '\0') piece.note = doubt;
  }

  void finish(StaticPiece piece, const Traveller& t) {
    const std::string note = piece.note;
    certify(piece, t);
    if (piece.note.empty()) piece.note = note;
    result_.pieces.push_back(std::move(piece));
  }

  std::optional<Place> concrete(const std::variant<RegisterBytes, SymbolicMemory>& place) const {
    if (const auto* r = std::get_if<RegisterBytes>(&place)) return *r;
    const auto& memory = std::get<SymbolicMemory>(place);
    if (!memory.address.value) return std::nullopt;
    return ByteRange{Address{*memory.address.value}, memory.size};
  }

  // Bytes that travelled apart but ended in one load, register or constant belong together.
  void join_neighbours() {
    std::vector<StaticPiece> joined;
    for (StaticPiece& piece : result_.pieces) {
      if (!joined.empty() && continues(joined.back(), piece)) {
        StaticPiece& last = joined.back();
        if (last.end == StaticEnd::immediate)
          last.constant = *last.constant | (*piece.constant << (8 * last.size));
        if (last.place) {
          auto& r = std::get<RegisterBytes>(*last.place);
          r.size = static_cast<std::uint8_t>(r.size + piece.size);
        }
        last.size += piece.size;
        continue;
      }
      joined.push_back(std::move(piece));
    }
    result_.pieces = std::move(joined);
  }

  static bool continues(const StaticPiece& a, const StaticPiece& b) {
    if (a.end != b.end || a.pc != b.pc || a.offset + a.size != b.offset ||
        a.certainty != b.certainty)
      return false;
    switch (a.end) {
      case StaticEnd::load:
        return a.operand == b.operand && a.operand_offset + a.size == b.operand_offset;
      case StaticEnd::memory_at_end:
        return a.address && b.address && *a.address + a.size == *b.address;
      case StaticEnd::immediate:
        return a.constant && b.constant && a.size + b.size <= 8;
      case StaticEnd::zero:
        return true;
      case StaticEnd::live_in:
      case StaticEnd::argument:
      case StaticEnd::call_result:
      case StaticEnd::call_clobbered: {
        if (!a.place || !b.place) return false;
        const auto& r = std::get<RegisterBytes>(*a.place);
        const auto& s = std::get<RegisterBytes>(*b.place);
        return r.same_register(s) && r.offset + r.size == s.offset;
      }
      default:
        return a.inputs == b.inputs;
    }
  }

  const StaticQuery& query_;
  StaticPath path_;
  std::vector<DataFlow> flows_;
  SymbolicValues values_;
  std::vector<Traveller> travellers_;
  StaticSlice result_;
};

}  // namespace

const char* to_string(StaticEnd end) {
  switch (end) {
    case StaticEnd::load:
      return "load";
    case StaticEnd::immediate:
      return "immediate";
    case StaticEnd::zero:
      return "zero";
    case StaticEnd::address:
      return "address";
    case StaticEnd::arithmetic:
      return "arithmetic";
    case StaticEnd::select:
      return "select";
    case StaticEnd::live_in:
      return "live_in";
    case StaticEnd::argument:
      return "argument";
    case StaticEnd::call_result:
      return "call_result";
    case StaticEnd::call_clobbered:
      return "call_clobbered";
    case StaticEnd::memory_at_end:
      return "memory_at_end";
    case StaticEnd::system_call:
      return "system_call";
    case StaticEnd::unknown:
      break;
  }
  return "unknown";
}

Result<StaticSlice> slice_static(const StaticQuery& query) {
  CULPRIT_ASSIGN(StaticPath path,
                 find_static_path(query.code, query.function, query.instruction, query.after));
  return Tracer(query, std::move(path)).run();
}

}  // namespace culprit::provenance
