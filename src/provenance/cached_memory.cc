#include "provenance/cached_memory.h"

#include <algorithm>
#include <cstring>

namespace culprit::provenance {

std::size_t CachedMemory::read(Address address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t at = address.value + done;
    if (at < address.value) break;  // wrapped past the end of the address space
    const std::uint64_t page_start = at & ~std::uint64_t{kPageSize - 1};
    const std::size_t offset = static_cast<std::size_t>(at - page_start);

    auto found = pages_.find(page_start);
    if (found == pages_.end()) {
      Page page(kPageSize);
      page.resize(source_.read(Address{page_start}, page));
      // An address space may have a readable tail behind an unreadable head of a page only where the
      // source is a set of snapshots; ask for exactly the bytes then, and do not cache.
      if (page.size() <= offset || pages_.size() >= kMaxPages) {
        const std::size_t wanted = std::min(out.size() - done, kPageSize - offset);
        const std::size_t got = source_.read(Address{at}, out.subspan(done, wanted));
        done += got;
        if (got < wanted) break;
        continue;
      }
      found = pages_.emplace(page_start, std::move(page)).first;
    }
    const Page& page = found->second;
    if (offset >= page.size()) break;
    const std::size_t wanted = std::min(out.size() - done, page.size() - offset);
    std::memcpy(out.data() + done, page.data() + offset, wanted);
    done += wanted;
    if (offset + wanted < kPageSize && done < out.size()) break;
  }
  return done;
}

}  // namespace culprit::provenance
