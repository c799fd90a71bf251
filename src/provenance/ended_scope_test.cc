#include "provenance/ended_scope.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "binary/test_support.h"
#include "provenance/testing/live_image.h"
#include "provenance/testing/look.h"
#include "provenance/testing/scripted_replay.h"

namespace culprit::provenance {
namespace {

using binary::testing::ProcessMemory;
using testing::look;
using testing::Look;
using testing::Looker;

/// testdata/scopes.c, loaded into this process; a moment of it is looked at in `with`.
class Scopes : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string library = folder_ / "scopes.so";
    ASSERT_TRUE(binary::testing::run(
        {GetParam(), "-shared", "-fPIC", "-O0", "-g", "-o", library,
         std::string(CULPRIT_SOURCE_DIR) + "/src/provenance/testdata/scopes.c"}));
    handle_ = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(handle_, nullptr) << dlerror();
    live_ = std::make_unique<testing::LiveImage>();
  }
  ~Scopes() override {
    if (handle_ != nullptr) dlclose(handle_);
  }

  template <typename F>
  F* function(const char* name) {
    return reinterpret_cast<F*>(dlsym(handle_, name));
  }
  ProcessImage& image() { return live_->image(); }

  /// What stands in `see` is done while serve(which) has called a user of its pointer.
  struct Seen {
    Moment moment;
    std::size_t user = 0;    ///< frame of use_ticket() or use_bytes()
    std::size_t holder = 0;  ///< of serve()
    Address pointer;
  };
  void with(const std::function<void(const Seen&)>& see,
            const std::function<void(Look, void*)>& call) {
    bool seen = false;
    const Looker looker = [&](const Registers& registers, Address where) {
      Seen now;
      now.pointer = where;
      stand_at(image(), {testing::kThread, testing::kProcess, 0, 1}, registers, memory_,
               now.moment);
      for (std::size_t i = 0; i < now.moment.frames.size(); ++i) {
        const std::string_view name = now.moment.frames[i].code.best_name();
        if (name.starts_with("use_")) now.user = i;
        if (name.starts_with("serve")) now.holder = i;
      }
      seen = now.user > 0 && now.holder == now.user + 1;
      if (seen) see(now);
    };
    call(look, const_cast<Looker*>(&looker));
    EXPECT_TRUE(seen) << "the stack was not walked";
  }
  void with_serve(int which, const std::function<void(const Seen&)>& see) {
    auto* serve = function<void(int, Look, void*)>("serve");
    ASSERT_NE(serve, nullptr);
    with(see, [&](Look l, void* context) { serve(which, l, context); });
  }
  std::optional<report::Location> pointed_to(const Seen& seen, std::uint64_t beside = 0) {
    return ended_variable_pointed_to(image(), seen.moment, seen.user, seen.holder,
                                     Address{seen.pointer.value + beside}, memory_);
  }

  binary::testing::TemporaryFolder folder_;
  void* handle_ = nullptr;
  std::unique_ptr<testing::LiveImage> live_;
  ProcessMemory memory_{getpid()};
};

TEST_P(Scopes, APointerToAVariableThatIsGoneIsToldByItsType) {
  with_serve(1, [&](const Seen& seen) {
    const auto meant = pointed_to(seen);
    ASSERT_TRUE(meant && meant->owner);
    EXPECT_EQ(meant->address, seen.pointer);
    EXPECT_EQ(meant->size, 16U);
    EXPECT_EQ(meant->owner->variable, "left");
    EXPECT_EQ(meant->owner->function, "serve");
    EXPECT_EQ(meant->owner->declared_line, 15U);
    EXPECT_EQ(meant->owner->frame, seen.moment.frames[seen.holder].frame.cfa);
    EXPECT_EQ(meant->owner->object, seen.pointer);
    EXPECT_TRUE(meant->owner->life.died);

    // Not the pointer's value, no frames.
    EXPECT_FALSE(pointed_to(seen, 8));
    const std::size_t none = seen.moment.frames.size();
    EXPECT_FALSE(
        ended_variable_pointed_to(image(), seen.moment, none, seen.holder, seen.pointer, memory_));
    EXPECT_FALSE(
        ended_variable_pointed_to(image(), seen.moment, seen.user, none, seen.pointer, memory_));
    EXPECT_FALSE(ended_variable_pointed_to(image(), seen.moment, seen.user, seen.user, seen.pointer,
                                           memory_))
        << "it is in another frame";
  });
}

TEST_P(Scopes, AVariableInScopeHasNotEnded) {
  with_serve(0, [&](const Seen& seen) { EXPECT_FALSE(pointed_to(seen)); });
  auto* one_of_two = function<void(Look, void*)>("serve_one_of_two");
  ASSERT_NE(one_of_two, nullptr);
  with(
      [&](const Seen& seen) {
        EXPECT_FALSE(pointed_to(seen)) << "of the same type as one that is";
      },
      [&](Look l, void* context) { one_of_two(l, context); });
}

TEST_P(Scopes, ATypeThatManyThingsHaveTellsNothing) {
  with_serve(2, [&](const Seen& seen) { EXPECT_FALSE(pointed_to(seen)); });
}

TEST_P(Scopes, AScopeEndsWhileItsFrameLives) {
  report::Owner owner;
  const auto name_it = [&](const Seen& seen) {
    owner.variable = "left";
    owner.function = "serve";
    owner.declared_line = 15;
    owner.frame = seen.moment.frames[seen.holder].frame.cfa;
    owner.object = seen.pointer;
  };
  with_serve(0, [&](const Seen& seen) {
    name_it(seen);
    EXPECT_FALSE(scope_has_ended(image(), seen.moment, owner, memory_));
  });
  with_serve(1, [&](const Seen& seen) {
    name_it(seen);
    EXPECT_TRUE(scope_has_ended(image(), seen.moment, owner, memory_));
    const auto ended = [&](auto change) {
      report::Owner other = owner;
      change(other);
      return scope_has_ended(image(), seen.moment, other, memory_);
    };
    EXPECT_FALSE(ended([](report::Owner& o) { o.frame = *o.frame + 16; }))
        << "no frame lives there";
    EXPECT_FALSE(ended([](report::Owner& o) { o.frame.reset(); }));
    EXPECT_FALSE(ended([](report::Owner& o) { o.object = *o.object + 8; }));
    EXPECT_FALSE(ended([](report::Owner& o) { o.object.reset(); }));
    EXPECT_FALSE(ended([](report::Owner& o) { o.variable = "kept"; }));
    EXPECT_FALSE(ended([](report::Owner& o) { o.declared_line = 14; }));
    EXPECT_FALSE(ended([](report::Owner& o) { o.function = "serve_one_of_two"; }));
  });
}

INSTANTIATE_TEST_SUITE_P(Compilers, Scopes, ::testing::Values("gcc", "clang-14"),
                         [](const auto& compiler) {
                           return std::string(compiler.param[0] == 'g' ? "gcc" : "clang");
                         });

}  // namespace
}  // namespace culprit::provenance
