#include "report/formats/html_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "report/formats/escape.h"
#include "report/formats/moments.h"
#include "report/words.h"

namespace culprit::report {
namespace {

constexpr std::size_t kMaxHopsDrawn = 120;
constexpr std::size_t kMaxSlots = 16;
constexpr int kWidth = 1120;  // of the whole picture, if the hops fit
constexpr int kGutter = 196;  // the lanes' names
constexpr int kThreadLane = 84;
constexpr int kSlotLane = 74;  // and less if there are many
constexpr int kSmallSlotLane = 58;
constexpr std::size_t kManySlots = 4;
constexpr double kLifeWidth = 0.3;  // of a moment of a life, beside a hop's
constexpr double kCharacter = 6.4;  // width of a letter of the labels

using ThreadKey = std::pair<std::int32_t, std::int32_t>;  // process, thread

// At most `characters` characters of UTF-8.
std::string shortened(std::string_view text, std::size_t characters) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (++count > characters) {
      // Room for the ellipsis.
      std::size_t end = i;
      do {
        --end;
      } while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
      return std::string(text.substr(0, end)) + "…";
    }
  }
  return std::string(text);
}

std::string fitted(std::string_view text, double width) {
  return escape_xml(shortened(text, static_cast<std::size_t>(std::max(3.0, width / kCharacter))));
}

// A function's name in little space: whole if it fits, else without its qualifiers, arguments and
// template arguments ("Worker::resolve<Item>(Job&)" → "resolve", "runtime.gcStart" → "gcStart").
std::string function_label(std::string_view name, double width) {
  const auto room = static_cast<std::size_t>(std::max(3.0, width / kCharacter));
  if (name.size() > room) {
    std::string_view plain = name.substr(0, std::min(name.find('('), name.find('<')));
    const std::size_t at = plain.find_last_of(":.");
    if (at != std::string_view::npos) plain.remove_prefix(at + 1);
    if (!plain.empty()) name = plain;
  }
  return fitted(name, width);
}

// What a hop did to its slot.
enum class Touch { wrote, saw, left_alone };

Touch touch_of(HopKind kind) {
  switch (kind) {
    case HopKind::crash_report:
    case HopKind::load:
    case HopKind::register_slice:
    case HopKind::arithmetic:
    case HopKind::registration:
      return Touch::saw;
    case HopKind::stale_bytes:
      return Touch::left_alone;
    default:
      return Touch::wrote;
  }
}

struct Lane {
  Address address;
  std::vector<std::uint32_t> hops;  // in time
};

class Picture {
 public:
  explicit Picture(const Report& report) : report_(report), moments_(moments_of(report)) {
    choose();
    lay_out();
  }

  std::string run() {
    guides();
    thread_lanes();
    arrows();
    nodes();
    slot_lanes();
    return fmt::format(
        "<svg class=\"picture\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
        "aria-label=\"The hops in time across threads, and the slots that held the value\">"
        "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
        "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" "
        "class=\"tip\"/></marker></defs>"
        "{2}</svg>",
        width_, height_, out_);
  }

 private:
  [[nodiscard]] bool drawn(std::uint32_t hop) const {
    const std::size_t count = report_.hops.size();
    return count <= kMaxHopsDrawn || hop < kMaxHopsDrawn / 2 || hop >= count - kMaxHopsDrawn / 2;
  }

  // Which moments, threads and slots there are.
  void choose() {
    std::map<std::uint64_t, std::size_t> lane_of;
    std::erase_if(moments_, [this](const Moment& m) { return !drawn(m.hop); });
    for (const Moment& moment : moments_) {
      if (moment.kind != MomentKind::hop) continue;
      const Hop& hop = report_.hops[moment.hop];
      const ThreadKey key{hop.position.process.value, hop.position.thread.value};
      if (thread_row_.emplace(key, 0).second) threads_.push_back(key);
      if (!hop.location) continue;
      const std::uint64_t address = hop.location->address.value;
      if (!lane_of.contains(address)) {
        if (slots_.size() == kMaxSlots) continue;
        lane_of[address] = slots_.size();
        slots_.push_back({hop.location->address, {}});
      }
      slots_[lane_of[address]].hops.push_back(moment.hop);
    }
    // The thread that crashed is on top.
    std::reverse(threads_.begin(), threads_.end());
    for (std::size_t i = 0; i < threads_.size(); ++i) thread_row_[threads_[i]] = i;
    std::reverse(slots_.begin(), slots_.end());
    // Two moments of an owner's life tell where its box begins and ends; only those of drawn slots
    // count.
    std::erase_if(moments_, [&](const Moment& m) {
      if (m.kind == MomentKind::hop) return false;
      const auto& location = report_.hops[m.hop].location;
      return !location || !lane_of.contains(location->address.value);
    });
  }

  void lay_out() {
    double columns = 0;
    const auto width_of = [](const Moment& m) {
      return m.kind == MomentKind::hop ? 1.0 : kLifeWidth;
    };
    for (const Moment& moment : moments_) columns += width_of(moment);
    step_ = std::clamp((kWidth - kGutter - 20) / std::max(1.0, columns), 34.0, 190.0);
    radius_ = step_ < 46 ? 11 : 13;
    hop_x_.resize(report_.hops.size());
    born_x_.resize(report_.hops.size());
    died_x_.resize(report_.hops.size());
    double left = kGutter;
    for (const Moment& moment : moments_) {
      const double width = step_ * width_of(moment);
      const double x = left + width / 2;
      left += width;
      switch (moment.kind) {
        case MomentKind::hop:
          hop_x_[moment.hop] = x;
          break;
        case MomentKind::owner_born:
          born_x_[moment.hop] = x;
          break;
        case MomentKind::owner_died:
          died_x_[moment.hop] = x;
          break;
        case MomentKind::period_from:
          period_x_[{moment.hop, moment.period}].first = x;
          break;
        case MomentKind::period_to:
          period_x_[{moment.hop, moment.period}].second = x;
          break;
      }
    }
    width_ = std::max(kWidth, static_cast<int>(left + 20));
    slot_lane_ = slots_.size() > kManySlots ? kSmallSlotLane : kSlotLane;
    slots_top_ = 34 + static_cast<int>(threads_.size()) * kThreadLane + 22;
    height_ = slots_top_ + (slots_.empty() ? 0 : 14 + static_cast<int>(slots_.size()) * slot_lane_);
  }

  [[nodiscard]] double y_of(const Hop& hop) const {
    const ThreadKey key{hop.position.process.value, hop.position.thread.value};
    return 34 + (static_cast<double>(thread_row_.at(key)) + 0.5) * kThreadLane;
  }

  template <typename... Arguments>
  void draw(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Arguments>(arguments)...);
  }

  void guides() {
    draw("<text x=\"{}\" y=\"18\" class=\"axis\">earlier</text>", kGutter);
    draw("<text x=\"{}\" y=\"18\" class=\"axis\" text-anchor=\"end\">later: the crash</text>",
         width_ - 20);
    draw("<path class=\"axisline\" d=\"M{} 14H{}\" marker-end=\"url(#tip)\"/>", kGutter + 48,
         width_ - 122);
    for (const Moment& moment : moments_) {
      if (moment.kind != MomentKind::hop || slots_.empty()) continue;
      const Hop& hop = report_.hops[moment.hop];
      if (!hop.location) continue;
      draw("<path class=\"guide\" d=\"M{0:.1f} {1:.1f}V{2}\"/>", hop_x_[moment.hop], y_of(hop),
           height_ - 14);
    }
  }

  void thread_lanes() {
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      const int top = 34 + static_cast<int>(i) * kThreadLane;
      draw("<rect class=\"lane\" x=\"0\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>", top,
           width_, kThreadLane - 6);
      const auto [process, thread] = threads_[i];
      std::string name = "thread not known";
      if (thread > 0) name = fmt::format("thread {}", thread);
      std::string second;
      for (const Hop& hop : report_.hops) {
        const bool here = hop.position.thread.value == thread && !hop.position.thread_name.empty();
        if (here) second = shown(hop.position.thread_name);
        if (here) break;
      }
      if (process > 0 && (process != thread || processes() > 1)) {
        second += fmt::format("{}process {}", second.empty() ? "" : ", ", process);
      }
      draw("<text x=\"12\" y=\"{}\" class=\"name\">{}</text>", top + (second.empty() ? 44 : 36),
           escape_xml(name));
      if (second.empty()) continue;
      draw("<text x=\"12\" y=\"{}\" class=\"sub\">{}</text>", top + 53,
           fitted(second, kGutter - 20));
    }
  }

  [[nodiscard]] std::size_t processes() const {
    std::map<std::int32_t, int> seen;
    for (const ThreadKey& key : threads_) seen[key.first] = 1;
    return seen.size();
  }

  // From each hop to the hop that it explains.
  void arrows() {
    for (const Hop& hop : report_.hops) {
      if (!hop.parent || !drawn(hop.index) || !drawn(*hop.parent)) continue;
      const Hop& next = report_.hops[*hop.parent];
      const double x1 = hop_x_[hop.index] + radius_;
      const double x2 = hop_x_[next.index] - radius_ - 1;
      const double y1 = y_of(hop);
      const double y2 = y_of(next);
      const double bend = std::max(16.0, (x2 - x1) / 2);
      draw(
          "<path class=\"way{}\" d=\"M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}\" "
          "marker-end=\"url(#tip)\"/>",
          hop.main_line ? "" : " side", x1, y1, x1 + bend, y1, x2 - bend, y2, x2, y2);
    }
  }

  void nodes() {
    std::map<ThreadKey, int> in_lane;
    for (const Moment& moment : moments_) {
      if (moment.kind != MomentKind::hop) continue;
      const Hop& hop = report_.hops[moment.hop];
      const double x = hop_x_[hop.index];
      const double y = y_of(hop);
      const std::string actor = actor_of(hop);
      // Names of neighbours would run into each other: every second one stands above.
      const int at = in_lane[{hop.position.process.value, hop.position.thread.value}]++;
      const bool above = step_ < 120 && at % 2 == 1;
      const double room =
          std::min(above || step_ < 120 ? 1.9 * step_ : step_ - 8, 2 * (width_ - x));
      draw("<a href=\"#hop-{0}\"><title>#{0} {1}: {2}</title>", hop.index, escape_xml(actor),
           escape_xml(deed_text(hop)));
      draw("<circle class=\"node {}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"/>",
           to_string(hop.confidence), x, y, radius_);
      draw("<text class=\"number\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x, y + 4, hop.index);
      draw("<text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text></a>", x,
           above ? y - radius_ - 8 : y + radius_ + 15, function_label(actor, room));
    }
  }

  void slot_lanes() {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      slot_lane(slots_[i], slots_top_ + static_cast<int>(i) * slot_lane_);
    }
  }

  void slot_lane(const Lane& lane, int top) {
    const double line = top + 37;
    const Hop& first = report_.hops[lane.hops.back()];
    draw("<text x=\"12\" y=\"{}\" class=\"name\">{}</text>", top + 28,
         fitted(lane_name(*first.location), kGutter - 24));
    draw("<text x=\"12\" y=\"{}\" class=\"sub mono\">{}</text>", top + 45, to_hex(lane.address));
    draw("<path class=\"slotline\" d=\"M{} {:.0f}H{}\"/>", kGutter, line, width_ - 20);
    owners(lane, top);
    held(lane, line);
    for (const std::uint32_t index : lane.hops) {
      const Hop& hop = report_.hops[index];
      switch (touch_of(hop.kind)) {
        case Touch::wrote:
          stop(hop, "wrote", "written", line);
          break;
        case Touch::saw:
          stop(hop, "saw", "seen", line);
          break;
        case Touch::left_alone:
          stop(hop, "alone", "not written", line);
          break;
      }
    }
  }

  void stop(const Hop& hop, std::string_view style, std::string_view word, double y) {
    draw(
        "<a href=\"#hop-{0}\"><title>#{0} {1}</title>"
        "<circle class=\"stop {2}\" cx=\"{3:.1f}\" cy=\"{4:.0f}\" r=\"6\"/>"
        "<text class=\"stoplabel\" x=\"{3:.1f}\" y=\"{5:.0f}\">#{0}{6}{7}</text></a>",
        hop.index, escape_xml(deed_text(hop)), style, hop_x_[hop.index], y, y + 18,
        step_ > 66 ? " " : "", step_ > 66 ? word : "");
  }

  static std::string lane_name(const Location& location) {
    if (location.owner && location.owner->variable.empty() && location.owner->object_size) {
      const std::string& allocator = location.owner->allocator;
      return fmt::format("{}block + {}", allocator.empty() ? "" : shown(allocator) + " ",
                         location.owner->offset.value_or(0));
    }
    return slot_name(location);
  }

  // Boxes for the lives of the owners. An end that is not known is drawn open.
  void owners(const Lane& lane, int top) {
    for (std::size_t i = 0; i < lane.hops.size(); ++i) {
      const Hop& hop = report_.hops[lane.hops[i]];
      const Location& location = *hop.location;
      for (std::size_t p = 0; p < location.history.size(); ++p) {
        const auto found = period_x_.find({hop.index, p});
        const auto [from, to] =
            found == period_x_.end() ? std::pair<double, double>{} : found->second;
        box(from > 0 ? from : kGutter, to > 0 ? to : width_ - 20.0, top, "period", from > 0, to > 0,
            location.history[p].description);
      }
      if (!location.owner) continue;
      const std::string name = owner_name(hop);
      // One box for hops in a row that name the same owner.
      if (i > 0 && owner_name(report_.hops[lane.hops[i - 1]]) == name && !born_x_[hop.index])
        continue;
      const bool born = born_x_[hop.index].has_value();
      const bool died = died_x_[hop.index].has_value();
      const double from = born ? *born_x_[hop.index] : hop_x_[hop.index] - step_ * 0.42;
      double to = died ? *died_x_[hop.index] : width_ - 20.0;
      bool closed = died;
      // The memory is somebody else's from the next owner's birth on.
      for (std::size_t j = i + 1; j < lane.hops.size() && !died; ++j) {
        const std::uint32_t next = lane.hops[j];
        if (owner_name(report_.hops[next]) == name) continue;
        to = std::min(to, born_x_[next] ? *born_x_[next] : hop_x_[next] - step_ * 0.42);
        closed = born_x_[next].has_value();
        break;
      }
      // The lane's name need not be said again.
      box(from, std::max(to, from + 12), top, "owner", born, closed,
          name == slot_name(location) ? "" : name);
    }
  }

  static std::string owner_name(const Hop& hop) {
    if (!hop.location || !hop.location->owner) return "";
    const Owner& owner = *hop.location->owner;
    std::string name = variable_name(owner.variable, owner.member);
    if (!owner.function.empty())
      name += (name.empty() ? "frame of " : " in ") + shown(owner.function);
    if (!name.empty()) return name;
    if (!owner.object_size) return shown(owner.allocator);
    return fmt::format("{} bytes{}{}", *owner.object_size, owner.allocator.empty() ? "" : " of ",
                       shown(owner.allocator));
  }

  void box(double from, double to, int top, std::string_view kind, bool start_known, bool end_known,
           std::string_view name) {
    draw("<rect class=\"box {}\" x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"4\"/>",
         kind, from, top + 10, to - from, slot_lane_ - 12);
    const auto edge = [&](double x) {
      draw("<path class=\"edge\" d=\"M{:.1f} {}v{}\"/>", x, top + 10, slot_lane_ - 12);
    };
    if (start_known) edge(from);
    if (end_known) edge(to);
    if (name.empty() || to - from < 40) return;
    draw("<text class=\"boxlabel\" x=\"{:.1f}\" y=\"{}\">{}</text>", from + 6, top + 23,
         fitted(name, to - from - 8));
  }

  // A thick line while the slot holds the value: from the write to the last hop that found it
  // there, and to the hop that took it from there.
  void held(const Lane& lane, double y) {
    std::optional<double> since;
    for (const std::uint32_t index : lane.hops) {
      const Hop& hop = report_.hops[index];
      const double x = hop_x_[index];
      const auto line = [&](double from, double to) {
        draw("<path class=\"held\" d=\"M{:.1f} {:.0f}H{:.1f}\"/>", from, y, to);
      };
      if (since) line(*since, x);
      if (since || touch_of(hop.kind) == Touch::wrote) since = x;
      if (!hop.main_line || !hop.parent || !drawn(*hop.parent)) continue;
      const double taken = hop_x_[*hop.parent];
      const bool here =
          std::find(lane.hops.begin(), lane.hops.end(), *hop.parent) != lane.hops.end();
      if (here || taken <= x) continue;
      line(x, taken);
      draw("<circle class=\"taken\" cx=\"{:.1f}\" cy=\"{:.0f}\" r=\"4\"/>", taken, y);
    }
  }

  const Report& report_;
  std::vector<Moment> moments_;
  std::vector<ThreadKey> threads_;
  std::map<ThreadKey, std::size_t> thread_row_;
  std::vector<Lane> slots_;
  std::vector<double> hop_x_;
  std::vector<std::optional<double>> born_x_;
  std::vector<std::optional<double>> died_x_;
  std::map<std::pair<std::uint32_t, std::size_t>, std::pair<double, double>> period_x_;
  double step_ = 0;
  int radius_ = 13;
  int width_ = 0;
  int height_ = 0;
  int slots_top_ = 0;
  int slot_lane_ = 0;
  std::string out_;
};

}  // namespace

std::string chain_picture(const Report& report) {
  if (report.hops.empty()) return "";
  return Picture(report).run();
}

}  // namespace culprit::report
