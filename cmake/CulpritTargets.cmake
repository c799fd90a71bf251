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

# culprit_precompile(TARGET HEADER...): for headers that take longer to read than what uses them to compile.
# Not with a compiler cache, which makes up for that and does not go together with precompiled headers.
function(culprit_precompile target)
  if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

# culprit_layer(NAME SOURCES ... DEPS ...): the static library culprit_NAME of one folder under src/.
function(culprit_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(culprit_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(culprit_${name} PUBLIC culprit_options ${ARG_DEPS})
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
