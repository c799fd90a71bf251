#include "bundle/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "base/file_descriptor.h"
#include "base/signals.h"
#include "bundle/entry_name.h"

namespace culprit::bundle {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kManifestLimit = std::size_t{64} << 10;

/// A name of the archive for an error message: short, and printable ASCII only.
std::string shown(std::string_view name) {
  constexpr std::size_t kLongest = 120;
  std::string out;
  for (const char c : name.substr(0, kLongest)) out += c >= 0x20 && c < 0x7F ? c : '?';
  return name.size() > kLongest ? out + "..." : out;
}

std::string_view type_name(unsigned type) {
  switch (type) {
    case AE_IFLNK:
      return "a symbolic link";
    case AE_IFDIR:
      return "a folder";
    case AE_IFCHR:
    case AE_IFBLK:
      return "a device";
    case AE_IFIFO:
      return "a pipe";
    case AE_IFSOCK:
      return "a socket";
    default:
      return "no regular file";
  }
}

class Unpacker {
 public:
  Unpacker(const fs::path& archive_path, const fs::path& folder, const UnpackLimits& limits)
      : path_(archive_path), folder_(folder), limits_(limits) {}

  Result<Manifest> run() {
    CULPRIT_TRY(open());
    Manifest manifest;
    for (std::uint64_t entries = 0;; ++entries) {
      archive_entry* entry = nullptr;
      const int got = ::archive_read_next_header(handle_.get(), &entry);
      if (got == ARCHIVE_EOF) {
        if (entries == 0) return bad("it is empty");
        break;
      }
      // A warning (ARCHIVE_WARN) is about a name or a time that could not be converted.
      if (got != ARCHIVE_OK || entry == nullptr) return broken();
      if (entries > limits_.files) return bad(fmt::format("more than {} files", limits_.files));
      CULPRIT_ASSIGN(const std::string name, checked_name(entry, entries == 0));
      if (entries == 0) {
        CULPRIT_ASSIGN(const std::string text, read_manifest());
        auto parsed = parse_manifest(text);
        if (!parsed.ok()) return parsed.error().with_context(path_.string());
        manifest = *std::move(parsed);
        if (manifest.files > limits_.files || manifest.bytes > limits_.bytes) {
          return bad(
              fmt::format("it wants to unpack to {} bytes in {} files; at most {} and {} are "
                          "unpacked",
                          manifest.bytes, manifest.files, limits_.bytes, limits_.files));
        }
        CULPRIT_TRY(room_for(manifest.bytes));
        declared_ = manifest.bytes;
        continue;
      }
      if (entries > manifest.files) return bad("it holds more files than it says");
      CULPRIT_TRY(write_file(name));
      files_ = entries;
    }
    if (files_ != manifest.files || bytes_ != manifest.bytes) {
      return bad(fmt::format("it holds {} bytes in {} files, and says {} in {}: it is not whole",
                             bytes_, files_, manifest.bytes, manifest.files));
    }
    return manifest;
  }

 private:
  [[nodiscard]] Error bad(std::string_view why) const {
    return Error{ErrorCode::bad_input, path_.string() + ": " + std::string(why)};
  }
  [[nodiscard]] Error broken() const {
    const char* why = ::archive_error_string(handle_.get());
    return bad(std::string("not a bundle, or damaged") +
               (why != nullptr ? " (" + shown(why) + ")" : std::string()));
  }
  [[nodiscard]] static Error system_error(const fs::path& file) {
    return Error{ErrorCode::io, file.string() + ": " + std::strerror(errno)};
  }

  Status open() {
    input_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!input_ || ::fstat(input_.get(), &info) != 0) {
      return Error{ErrorCode::bad_input, path_.string() + ": " + std::strerror(errno)};
    }
    if (!S_ISREG(info.st_mode)) return bad("not a regular file");
    packed_ = static_cast<std::uint64_t>(info.st_size);
    handle_.reset(::archive_read_new());
    constexpr std::size_t kBlock = std::size_t{64} << 10;
    if (!handle_ || ::archive_read_support_format_tar(handle_.get()) != ARCHIVE_OK ||
        ::archive_read_support_filter_zstd(handle_.get()) != ARCHIVE_OK ||
        ::archive_read_open_fd(handle_.get(), input_.get(), kBlock) != ARCHIVE_OK) {
      return broken();
    }
    return {};
  }

  Status room_for(std::uint64_t bytes) const {
    const auto room = free_space(folder_);
    if (room.ok() && *room < bytes + limits_.keep_free) {
      return Error{ErrorCode::io, fmt::format("{}: {} bytes are free, and {} unpacks to {}",
                                              folder_.string(), *room, path_.string(), bytes)};
    }
    return {};
  }

  Result<std::string> checked_name(archive_entry* entry, bool first) const {
    const char* raw = ::archive_entry_pathname(entry);
    const std::string name = raw != nullptr ? raw : "";
    if (::archive_entry_hardlink(entry) != nullptr) {
      return bad(shown(name) + " is a link: refused");
    }
    const unsigned type = ::archive_entry_filetype(entry);
    if (type != AE_IFREG)
      return bad(fmt::format("{} is {}: refused", shown(name), type_name(type)));
    if (first && name != kManifestName)
      return bad("not a bundle of culprit (it has no bundle.json)");
    if (!is_entry_name(name) || (!first && name == kManifestName)) {
      return bad(shown(name) + ": no name that a bundle has: refused");
    }
    return name;
  }

  /// The next bytes of the entry; none at its end. A file with holes is read with its zeros.
  Result<std::size_t> read_piece() {
    CULPRIT_TRY(check_interrupt());
    const la_ssize_t n = ::archive_read_data(handle_.get(), piece_.data(), piece_.size());
    if (n < 0) return broken();
    return static_cast<std::size_t>(n);
  }

  Result<std::string> read_manifest() {
    std::string text;
    for (;;) {
      CULPRIT_ASSIGN(const std::size_t n, read_piece());
      if (n == 0) return text;
      text.append(piece_.data(), n);
      if (text.size() > kManifestLimit) return bad("its bundle.json is too long");
    }
  }

  Status write_file(const std::string& name) {
    const fs::path file = folder_ / name;
    std::error_code code;
    fs::create_directories(file.parent_path(), code);
    if (code) return bad(fmt::format("{}: {}", shown(name), code.message()));
    FileDescriptor out(
        ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!out) {
      if (errno == EEXIST) return bad(shown(name) + " comes twice: refused");
      if (errno == ENOTDIR || errno == EISDIR) return bad(shown(name) + " is a file and a folder");
      return system_error(file);
    }
    for (;;) {
      CULPRIT_ASSIGN(const std::size_t size, read_piece());
      if (size == 0) break;
      bytes_ += size;
      if (bytes_ > declared_) return bad("it holds more than it says");
      if (bytes_ > limits_.free_ratio && bytes_ / limits_.ratio > packed_) {
        return bad(
            fmt::format("it unpacks to more than {} times its size: refused", limits_.ratio));
      }
      const char* at = piece_.data();
      std::size_t left = size;
      while (left > 0) {
        const ssize_t n = ::write(out.get(), at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_error(file);
        at += n;
        left -= static_cast<std::size_t>(n);
      }
    }
    return {};
  }

  fs::path path_;
  fs::path folder_;
  UnpackLimits limits_;
  FileDescriptor input_;
  std::unique_ptr<archive, decltype(&::archive_read_free)> handle_{nullptr, &::archive_read_free};
  std::vector<char> piece_ = std::vector<char>(std::size_t{256} << 10);
  std::uint64_t packed_ = 0;
  std::uint64_t declared_ = 0;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace

bool looks_like_bundle(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  unsigned char magic[4] = {};
  // RFC 8878, 3.1.1: 0xFD2FB528, little endian.
  return ::read(file.get(), magic, sizeof magic) == sizeof magic && magic[0] == 0x28 &&
         magic[1] == 0xB5 && magic[2] == 0x2F && magic[3] == 0xFD;
}

Result<Manifest> unpack(const fs::path& archive, const fs::path& folder,
                        const UnpackLimits& limits) {
  return Unpacker(archive, folder, limits).run();
}

}  // namespace culprit::bundle
