// What rules have to know by name: values of Suspect::description and Owner::allocator that the
// engine writes and the verdict reads.
#pragma once

#include <string_view>

namespace culprit::report {

inline constexpr std::string_view kFreedPointer = "the pointer that was to be freed";
inline constexpr std::string_view kCanary = "the stack protector's canary";
inline constexpr std::string_view kReturnTarget = "the address that was returned to";
inline constexpr std::string_view kStackPointer = "the stack pointer";
/// Of Source::description: the size that an allocator was asked for.
inline constexpr std::string_view kAskedSize = "the size that was asked for";
/// Of Source::description: how many bytes a function of the library was told to write.
inline constexpr std::string_view kToldLength = "the length that the call was told";
/// Of Source::description: what a loop's counter was compared with.
inline constexpr std::string_view kLoopBound = "the bound of the loop";
inline constexpr std::string_view kCheckedPointer = "the pointer that was checked";
/// A byte of a Go map that is set while somebody writes to the map.
inline constexpr std::string_view kMapInUse = "the map's mark that somebody writes to it";
inline constexpr std::string_view kIndex = "the index of the address";

inline constexpr std::string_view kCheckedSize = "the size that a check refused";
inline constexpr std::string_view kCheckedIndex = "the index that a check refused";
inline constexpr std::string_view kCheckedValue = "the value that a check refused";

inline constexpr std::string_view kVirtualTable = "the object's virtual table";

/// How an Owner::variable begins that is an argument of a variadic function behind its named parameters, as
/// does the Source::description of who read it: "unnamed argument 2 of log_line".
inline constexpr std::string_view kUnnamedArgument = "unnamed argument";

/// Of a Source: the null that ends the list of environment variables. Who looks for one that is not set ends
/// there.
inline constexpr std::string_view kEndOfEnvironment = "the end of the environment";
/// Owner::allocator of a block that a collector gave up.
inline constexpr std::string_view kGarbageCollector = "garbage collector";

}  // namespace culprit::report
