# Warnings and sanitizers, the same for every target of this project.
add_library(culprit_options INTERFACE)
target_include_directories(culprit_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(culprit_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual $<$<BOOL:${CULPRIT_WERROR}>:-Werror>)
# gcc 12 warns about its own library's std::string and std::optional code (gcc bugs 105329, 105562).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(culprit_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized)
endif()
if(CULPRIT_SANITIZE)
  target_compile_options(culprit_options INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(culprit_options INTERFACE -fsanitize=address,undefined)
endif()

# Headers that take longer to read than most of what uses them takes to compile are precompiled: once for all
# layers, and once more for a target that names further ones. Not with a compiler cache, which makes up for that
# and does not go together with precompiled headers. The common ones not with gcc 12: it gains a third where clang
# gains a half, and warns of its own library's code then (-Warray-bounds in std::string).
set(CULPRIT_COMMON_HEADERS <fmt/format.h> <algorithm> <array> <chrono> <functional> <map> <memory> <optional>
  <set> <span> <string> <string_view> <unordered_map> <utility> <variant> <vector>)

# culprit_precompile(TARGET [HEADER...])
function(culprit_precompile target)
  if(CMAKE_CXX_COMPILER_LAUNCHER)
    return()
  endif()
  set(common ${CULPRIT_COMMON_HEADERS})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(common)
  endif()
  if(ARGN)
    target_precompile_headers(${target} PRIVATE ${common} ${ARGN})
    return()
  elseif(NOT common)
    return()
  endif()
  if(NOT TARGET culprit_common_headers)
    file(WRITE ${CMAKE_BINARY_DIR}/common_headers.cc "")
    add_library(culprit_common_headers OBJECT ${CMAKE_BINARY_DIR}/common_headers.cc)
    # The same options as in every layer, or the compiler refuses the header.
    target_link_libraries(culprit_common_headers PRIVATE culprit_options fmt::fmt)
    target_precompile_headers(culprit_common_headers PRIVATE ${CULPRIT_COMMON_HEADERS})
  endif()
  target_precompile_headers(${target} REUSE_FROM culprit_common_headers)
endfunction()

# culprit_layer(NAME SOURCES ... DEPS ... [PRECOMPILE ...]): the static library culprit_NAME of one folder
# under src/.
function(culprit_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRECOMPILE" ${ARGN})
  add_library(culprit_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(culprit_${name} PUBLIC culprit_options ${ARG_DEPS})
  culprit_precompile(culprit_${name} ${ARG_PRECOMPILE})
endfunction()

# culprit_test(NAME SOURCES ... DEPS ...): a GoogleTest binary, its cases found at test time
# so that a broken binary is a failing test and not a failing build.
function(culprit_test name)
  if(NOT CULPRIT_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE culprit_options ${ARG_DEPS} GTest::gtest GTest::gtest_main)
  # A third of the time that the tests take to build; what they call is optimised all the same.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O0>)
  target_compile_definitions(${name} PRIVATE CULPRIT_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
    CULPRIT_BINARY_DIR="${CMAKE_BINARY_DIR}")
  culprit_precompile(${name} <gtest/gtest.h>)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST)
endfunction()
