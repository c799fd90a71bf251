// SHA-256, for the Content-Security-Policy of the HTML page.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace culprit::report {

/// FIPS 180-4.
[[nodiscard]] std::array<std::uint8_t, 32> sha256(std::string_view data);

/// "sha256-…" with the digest in base64: a CSP source (CSP level 3, 2.3.1) that allows exactly one
/// inline script or style of these bytes.
[[nodiscard]] std::string csp_hash(std::string_view data);

}  // namespace culprit::report
