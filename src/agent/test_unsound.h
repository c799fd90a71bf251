// A switch of the build, for tests/soundness alone: an agent that records unsoundly, with which
// that suite proves that it would notice. Signals land anywhere in user code, and landings are not
// counted, so that a replay finds both by registers alone.
#pragma once

namespace culprit::agent {

#ifdef CULPRIT_TEST_UNSOUND
inline constexpr bool test_unsound = true;
#else
inline constexpr bool test_unsound = false;
#endif

}  // namespace culprit::agent
