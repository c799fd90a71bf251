#include "x86/testing/instruction_templates.h"

#include <cstdint>

// Each T() is one template: its code lies in the blob, its bounds in the index.
#define T(code)                                                        \
  ".pushsection .rodata.culprit_template_index,\"a\"\n"                \
  ".long 771f - culprit_template_blob, 772f - culprit_template_blob\n" \
  ".popsection\n"                                                      \
  "771:\n" code "\n772:\n"

// clang-format off
#define FOR_PAIR(a64, a32, a16, a8, b64, b32, b16, b8)                           \
  T("mov " a64 ", " b64) T("mov " a32 ", " b32) T("mov " a16 ", " b16)           \
  T("mov " a8 ", " b8)                                                           \
  T("mov " a64 ", [rbx+0x11]") T("mov " a32 ", [rbx-0x35]")                      \
  T("mov " a16 ", [rbx+0x22]") T("mov " a8 ", [rbx+0x31]")                       \
  T("mov [rbx+0x17], " a64) T("mov [rbx-0x2d], " a32)                            \
  T("mov [rbx+0x43], " a16) T("mov [rbx+0x51], " a8)                             \
  T("mov [rbx+0x13], " b64) T("mov " b64 ", [rbx+0x15]")                         \
  T("movzx " a32 ", " b8) T("movzx " a64 ", " b16) T("movzx " a32 ", byte ptr [rbx+9]")\
  T("movzx " a16 ", byte ptr [rbx+0x1a]")                                        \
  T("movsx " a64 ", " b8) T("movsx " a32 ", word ptr [rbx+0x1b]")                \
  T("movsxd " a64 ", " b32) T("movsxd " a64 ", dword ptr [rbx+0x1d]")            \
  T("movbe " a64 ", [rbx+0x21]") T("movbe [rbx+0x29], " b32)                     \
  T("xchg " a64 ", " b64) T("xchg " a32 ", " b32) T("xchg " a8 ", " b8)          \
  T("xchg " a64 ", [rbx+0x2b]") T("xchg [rbx+0x2c], " a32) T("xchg [rbx], " b8)  \
  T("xadd " a64 ", " b64) T("lock xadd [rbx+0x30], " a64) T("xadd [rbx+0x33], " b32)\
  T("push " a64 "\npop " b64) T("push " b64 "\npop qword ptr [rbx+0x39]")        \
  T("push qword ptr [rbx+0x3d]\npop " a64) T("push " a16 "\npop " b16)           \
  T("push " a64 "\npush " b64 "\npop qword ptr [rsp+8]\npop " b64)               \
  T("push " a64 "\npop qword ptr [rsp-0x10]\nmov " b64 ", [rsp-0x10]")           \
  T("bswap " a64) T("bswap " b32)                                                \
  T("cmove " a64 ", " b64) T("cmovne " a64 ", [rbx+0x41]") T("cmovb " a32 ", " b32)\
  T("cmova " a16 ", " b16) T("cmovl " b64 ", " a64) T("cmovge " a32 ", [rbx+5]") \
  T("cmovs " a64 ", " b64) T("cmovnp " b64 ", " a64) T("cmovno " b64 ", " a64)   \
  T("cmovle " a64 ", " b64) T("cmovg " a64 ", " b64)                             \
  T("cmp " a64 ", " b64) T("test " a32 ", " b32) T("cmp " a8 ", " b8)            \
  T("add " a64 ", " b64) T("add " a64 ", 0x123") T("sub " a64 ", 0x77")          \
  T("add " a32 ", " b32) T("sub " a64 ", " b64) T("inc " a64) T("dec " b64)      \
  T("inc " a32) T("adc " a64 ", " b64) T("sbb " a64 ", " a64) T("neg " a64)      \
  T("not " b32) T("imul " a64 ", " b64) T("imul " a32 ", [rbx+8], 7")            \
  T("and " a64 ", -16") T("and " a32 ", 0xff") T("and " b64 ", 0x7fff00ff")      \
  T("or " a64 ", 1") T("or " b32 ", 0xff00") T("or " a64 ", -1") T("xor " a64 ", 0x80")\
  T("xor " b32 ", " a32) T("or " a64 ", " a64) T("and " b32 ", " b32)            \
  T("and dword ptr [rbx+0x45], 0xffff00") T("or qword ptr [rbx+0x49], 0x7f")     \
  T("shl " a64 ", 8") T("shr " a64 ", 16") T("shl " a32 ", 24") T("sar " b64 ", 8")\
  T("sar " a64 ", 32") T("shr " b32 ", 8") T("rol " a64 ", 8") T("ror " a64 ", 24")\
  T("rol " a16 ", 8") T("shl " a64 ", 3") T("ror " b32 ", 5") T("shl dword ptr [rbx+0x4d], 8")\
  T("shr " a8 ", 1") T("shld " a64 ", " b64 ", 8")                               \
  T("mov " a64 ", 0x1122334455667788") T("mov " a32 ", 0x99aabbcc")              \
  T("mov " a64 ", -5") T("mov " a8 ", 0x5a") T("mov " a16 ", 0x1234")            \
  T("mov dword ptr [rbx+0x55], 0xdeadbeef") T("mov qword ptr [rbx+0x59], -2")    \
  T("xor " b32 ", " b32) T("sub " a64 ", " a64) T("xor " a8 ", " a8)             \
  T("lea " a64 ", [" b64 "]") T("lea " a64 ", [" b64 "+8]")                      \
  T("lea " a32 ", [" b64 "+" a64 "*4+3]") T("lea " a64 ", [" a64 "+" b64 "*2-1]")\
  T("lea " a64 ", [" b64 "*8]") T("lea " a64 ", [rip+0x10]") T("lea " a16 ", [" b64 "+1]")\
  T("mov r11d, 5\nmov " a64 ", [rbx+r11*8+1]")                                   \
  T("mov r11, -3\nmov [rbx+r11*4], " b64)                                        \
  T("mov " a64 ", fs:[0x38]") T("mov fs:[0x40], " b64)                           \
  T("setb " a8) T("sete [rbx+0x5d]") T("popcnt " a64 ", " b64)                   \
  T("mov rax, " b64 "\ncmpxchg " a64 ", " b64)                                   \
  T("cmpxchg " a64 ", " b64) T("cmpxchg " a32 ", " b32) T("cmpxchg " a8 ", " b8) \
  T("mov rax, [rbx+0x60]\nlock cmpxchg [rbx+0x60], " b64)                        \
  T("lock cmpxchg [rbx+0x61], " a64) T("cmpxchg [rbx+0x62], " b32)               \
  T("mov eax, [rbx+0x63]\ncmpxchg [rbx+0x63], " b32)                             \
  T("movq xmm1, " a64) T("movq " b64 ", xmm1") T("movd xmm2, " a32) T("movd " a32 ", xmm3")\
  T("pinsrq xmm2, " a64 ", 1") T("pinsrw xmm3, " b32 ", 5") T("pinsrb xmm1, " b32 ", 9")\
  T("pinsrd xmm1, " a32 ", 2") T("pextrq " a64 ", xmm2, 1") T("pextrw " a32 ", xmm1, 3")\
  T("pextrb " a32 ", xmm2, 7") T("pextrd " b32 ", xmm3, 2") T("pmovmskb " a32 ", xmm1")\
  T("push rbp\nmov rbp, rsp\npush " a64 "\nmov r9, [rbp-8]\nleave")        \
  T("enter 0x20, 0\nmov [rbp-0x18], " b64 "\nmov " a64 ", [rbp-0x18]\nleave")
// clang-format on

// One statement, so that the compiler cannot reorder the parts.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
__asm__(
    ".pushsection .rodata.culprit_template_index,\"a\"\n"
    "culprit_template_index:\n"
    ".popsection\n"
    ".pushsection .rodata.culprit_templates,\"a\"\n"
    "culprit_template_blob:\n"
    ".intel_syntax noprefix\n"
    // clang-format off
    FOR_PAIR("rax", "eax", "ax", "al", "rdx", "edx", "dx", "dl")
    FOR_PAIR("r8", "r8d", "r8w", "r8b", "rbp", "ebp", "bp", "bpl")
    FOR_PAIR("r13", "r13d", "r13w", "r13b", "rsi", "esi", "si", "sil")
    T("mov ah, [rbx+2]") T("mov dh, al") T("mov al, ch") T("mov [rbx+0x67], dh")
    T("xchg al, ah") T("movzx eax, ch") T("movsx edx, ah") T("shl ax, 8") T("add ah, 3")
    T("cbw") T("cwde") T("cdqe") T("cwd") T("cdq") T("cqo")
    T("mul rdx") T("imul ecx") T("mul cl") T("mulx r9, r10, r8") T("mulx r9, r9, r8")
    T("xor edx, edx\nmov ecx, 77\nmov eax, 1000000\ndiv ecx")
    T("mov ecx, 5\nshl rax, cl") T("mov cl, 9\nror qword ptr [rbx+0x68], cl") T("bt rax, 5")
    T("bts rdx, 40") T("mov ecx, 300\nbts [rbx], rcx") T("bsf rax, rdx") T("xor ecx, ecx\nbsf rax, rcx")
    T("lzcnt eax, edx") T("tzcnt r8, rbp") T("andn rax, rdx, r8") T("crc32 eax, dl")
    T("pushfq\npop rax") T("push 0x1234\npop rdx") T("push -2\npop qword ptr [rbx+0x70]")
    T("lahf") T("sahf") T("stc") T("clc") T("cmc") T("nop") T("pause")
    T("xlatb") T("mov ecx, 3\n1: add rax, 1\nloop 1b")
    T("call 1f\n1: pop rax") T("call 1f\njmp 2f\n1: mov rdx, [rsp]\nret\n2:")
    T("push 1\ncall 1f\njmp 2f\n1: ret 8\n2:")
    // cmpxchg8b/16b, taken and not taken
    T("push rbx\nmov r9, rbx\nand r9, -16\nmov rax, [r9]\nmov rdx, [r9+8]\nlock cmpxchg16b [r9]\npop rbx")
    T("push rbx\nmov r9, rbx\nand r9, -16\nlock cmpxchg16b [r9]\npop rbx")
    T("push rbx\nmov r9, rbx\nmov eax, [r9]\nmov edx, [r9+4]\nlock cmpxchg8b [r9]\npop rbx")
    T("push rbx\nmov r9, rbx\ncmpxchg8b [r9+3]\npop rbx")
    T("rdfsbase rax") T("rdfsbase rdx\nwrfsbase rdx") T("rdfsbase r9d")
    // string instructions
    T("lea rsi, [rbx+0x81]\nlea rdi, [rbx-0x90]\nmovsb") T("lea rsi, [rbx+0x81]\nlea rdi, [rbx-0x8f]\nmovsq")
    T("lea rsi, [rbx+0x81]\nlea rdi, [rbx-0x90]\nmovsw\nmovsd")
    T("lea rsi, [rbx+0x83]\nlea rdi, [rbx-0x97]\nmov ecx, 13\nrep movsb")
    T("lea rsi, [rbx+0x83]\nlea rdi, [rbx-0x97]\nmov ecx, 3\nrep movsq")
    T("lea rsi, [rbx+0x83]\nlea rdi, [rbx+0x84]\nmov ecx, 9\nrep movsb")
    T("lea rsi, [rbx+0x83]\nlea rdi, [rbx+0x86]\nmov ecx, 4\nrep movsd")
    T("lea rsi, [rbx+0xa3]\nlea rdi, [rbx+0x92]\nmov ecx, 5\nstd\nrep movsb\ncld")
    T("lea rsi, [rbx+0xa3]\nlea rdi, [rbx+0x9b]\nmov ecx, 3\nstd\nrep movsq\ncld")
    T("lea rdi, [rbx-0xa7]\nmov ecx, 6\nrep stosd") T("lea rdi, [rbx-0xa7]\nmov ecx, 7\nrep stosb")
    T("lea rdi, [rbx-0x87]\nstosq") T("lea rdi, [rbx-0x67]\nmov ecx, 3\nstd\nrep stosq\ncld")
    T("lea rsi, [rbx+0x33]\nlodsq") T("lea rsi, [rbx+0x33]\nlodsd") T("lea rsi, [rbx+0x33]\nlodsb")
    T("lea rsi, [rbx+0x33]\nmov ecx, 4\nrep lodsw") T("lea rdi, [rbx]\nmov ecx, 20\nrepne scasb")
    T("lea rsi, [rbx]\nlea rdi, [rbx+0x20]\nmov ecx, 4\nrepe cmpsq") T("xor ecx, ecx\nrep movsb")
    T("lea esi, [rbx+3]\nlea edi, [rbx-0x33]\nmov ecx, 3\naddr32 rep movsb")
    T("mov eax, ebx\nmov rdx, [eax+4]") T("mov eax, ebx\nmov [eax-12], rdx")
    // SSE
    T("movdqu xmm0, [rbx+3]") T("movdqu [rbx-0x41], xmm0") T("movaps xmm1, xmm0") T("movups xmm2, [rbx+0x19]")
    T("mov r9, rbx\nand r9, -16\nmovdqa xmm3, [r9]\nmovntdq [r9+0x10], xmm3\nmovaps [r9+0x40], xmm1")
    T("movq xmm0, xmm1") T("movq xmm2, [rbx+1]") T("movq [rbx+0x71], xmm2") T("movd [rbx+0x79], xmm1")
    T("movlps xmm0, [rbx+7]") T("movhps xmm0, [rbx+0xf]") T("movlps [rbx+0x23], xmm1") T("movhps [rbx+0x2b], xmm2")
    T("movlpd xmm1, [rbx+8]") T("movhpd [rbx+0x2f], xmm2") T("movhlps xmm0, xmm1") T("movlhps xmm2, xmm3")
    T("movss xmm0, xmm1") T("movss xmm1, [rbx+2]") T("movss [rbx+0x7d], xmm1") T("movsd xmm0, xmm2")
    T("movsd xmm3, qword ptr [rbx+6]") T("movsd qword ptr [rbx+0x7e], xmm3") T("movddup xmm1, [rbx+4]")
    T("movshdup xmm0, xmm2") T("movsldup xmm2, xmm1") T("lddqu xmm3, [rbx+0x27]") T("movnti [rbx+0x35], rax")
    T("pshufd xmm0, xmm1, 0x1b") T("pshufd xmm2, xmm2, 0x44") T("pshuflw xmm1, xmm0, 0x4e") T("pshufhw xmm3, xmm2, 0x93")
    T("shufps xmm0, xmm1, 0x72") T("shufpd xmm1, xmm2, 1") T("punpcklbw xmm0, xmm1") T("punpckhbw xmm1, xmm2")
    T("punpcklwd xmm2, xmm0") T("punpckhwd xmm0, xmm3") T("punpckldq xmm1, xmm0") T("punpckhdq xmm2, xmm1")
    T("punpcklqdq xmm0, xmm2") T("punpckhqdq xmm3, xmm1") T("unpcklps xmm0, xmm1") T("unpckhpd xmm1, xmm0")
    T("palignr xmm0, xmm1, 5") T("palignr xmm2, xmm0, 19") T("pslldq xmm1, 3") T("psrldq xmm2, 5")
    T("pblendw xmm0, xmm1, 0x5a") T("blendps xmm1, xmm2, 6") T("blendpd xmm2, xmm3, 1") T("insertps xmm0, xmm1, 0x9c")
    T("extractps [rbx+0x81], xmm1, 2") T("pextrq [rbx+0x85], xmm0, 1") T("pextrw [rbx+0x8d], xmm1, 6")
    T("pmovzxbw xmm0, xmm1") T("pmovzxbd xmm1, [rbx+3]") T("pmovzxdq xmm2, xmm0") T("pmovzxwq xmm3, xmm1")
    T("pxor xmm1, xmm1") T("xorps xmm2, xmm2") T("pcmpeqd xmm3, xmm3") T("pxor xmm0, xmm1") T("paddd xmm1, xmm2")
    T("pshufb xmm1, xmm0") T("pand xmm2, xmm1") T("mulps xmm0, xmm0") T("cvtsi2sd xmm1, eax") T("cvttsd2si rax, xmm1")
    T("movmskps eax, xmm2") T("ptest xmm0, xmm1") T("sqrtsd xmm0, xmm1") T("aesenc xmm1, xmm2")
    T("lea rdi, [rbx+0x51]\nmaskmovdqu xmm0, xmm1")
    // MMX and x87
    T("movq mm0, rax\nmovq rdx, mm0\nemms") T("movq mm1, [rbx+1]\nmovq [rbx+0x91], mm1\nemms")
    T("movq mm1, [rbx+1]\nmovq2dq xmm1, mm1\nemms") T("movdq2q mm2, xmm0\nmovq [rbx+0x99], mm2\nemms")
    T("fild qword ptr [rbx+1]\nfistp qword ptr [rbx+0xa1]") T("fld1\nfstp tbyte ptr [rbx+0xa9]")
    T("fnstcw [rbx+0xb9]") T("stmxcsr [rbx+0xbd]")
    T("mov r9, rbx\nand r9, -64\nfxsave [r9-0x300]")
    "\nculprit_template_avx2:\n"
    T("vmovdqu ymm0, [rbx+5]") T("vmovdqu [rbx-0x63], ymm0") T("vmovdqu xmm1, [rbx+9]") T("vmovups [rbx+0xc1], xmm2")
    T("vmovaps ymm2, ymm1") T("vmovaps xmm3, xmm0") T("vmovq xmm0, [rbx+1]") T("vmovq xmm1, rax") T("vmovd edx, xmm1")
    T("mov r9, rbx\nand r9, -32\nvmovdqa ymm1, [r9]\nvmovntdq [r9+0x20], ymm1")
    T("vmovlps xmm0, xmm1, [rbx+2]") T("vmovhps xmm1, xmm2, [rbx+3]") T("vmovsd xmm0, xmm1, xmm2") T("vmovss xmm3, xmm1, xmm0")
    T("vmovsd xmm0, [rbx+7]") T("vmovhlps xmm0, xmm2, xmm1") T("vmovlhps xmm1, xmm0, xmm3") T("vmovddup ymm2, ymm0")
    T("vpshufd ymm0, ymm1, 0x39") T("vshufps ymm1, ymm2, ymm0, 0x8d") T("vshufpd ymm2, ymm0, ymm1, 0xa")
    T("vpunpcklbw ymm0, ymm1, ymm2") T("vpunpckhqdq ymm1, ymm0, ymm2") T("vunpckhps ymm2, ymm1, ymm0")
    T("vpalignr ymm0, ymm1, ymm2, 7") T("vpslldq ymm1, ymm0, 5") T("vpsrldq ymm2, ymm1, 9")
    T("vperm2i128 ymm0, ymm1, ymm2, 0x31") T("vperm2f128 ymm1, ymm0, ymm2, 0x82") T("vpermq ymm2, ymm1, 0x4b") T("vpermpd ymm0, ymm1, 0x1e")
    T("vinserti128 ymm0, ymm1, xmm2, 1") T("vinsertf128 ymm1, ymm0, [rbx+3], 0") T("vextracti128 xmm1, ymm0, 1") T("vextractf128 [rbx+0x33], ymm2, 1")
    T("vpbroadcastb ymm0, xmm1") T("vpbroadcastw xmm1, [rbx+1]") T("vpbroadcastd ymm2, xmm0") T("vpbroadcastq ymm0, [rbx+3]")
    T("vbroadcastss ymm1, xmm0") T("vbroadcastsd ymm2, [rbx+9]") T("vbroadcasti128 ymm0, [rbx+0x11]")
    T("vpblendd ymm0, ymm1, ymm2, 0xa5") T("vpblendw ymm1, ymm0, ymm2, 0x3c") T("vblendps ymm2, ymm1, ymm0, 0x99")
    T("vpinsrq xmm0, xmm1, rax, 0") T("vpextrq rdx, xmm0, 1") T("vpinsrb xmm1, xmm0, edx, 3")
    T("vpmovzxbd ymm0, xmm1") T("vpmovzxwd ymm1, [rbx+2]") T("vpxor xmm0, xmm0, xmm0") T("vpcmpeqb ymm3, ymm3, ymm3")
    T("vpxor ymm1, ymm0, ymm2") T("vpaddq ymm2, ymm1, ymm0") T("vpmaskmovd ymm0, ymm1, [rbx+3]") T("vpmaskmovq [rbx+0x13], ymm1, ymm2")
    T("vpcmpeqd ymm5, ymm5, ymm5\nvpxor xmm4, xmm4, xmm4\nvpgatherdq ymm1, [rbx+xmm4*1+8], ymm5")
    T("vzeroupper") T("vzeroall") T("vinsertps xmm0, xmm1, [rbx+1], 0x21") T("vmovshdup ymm1, ymm0")
    T("vcvtdq2ps ymm0, ymm1") T("vfmadd213ps ymm0, ymm1, ymm2") T("vpsrldq xmm1, xmm1, 4")
    // clang-format on
    "\nculprit_template_blob_end:\n"
    ".att_syntax\n"
    ".popsection\n"
    ".pushsection .rodata.culprit_template_index,\"a\"\n"
    "culprit_template_index_end:\n"
    ".popsection\n");
#pragma GCC diagnostic pop

extern "C" {
extern const std::byte culprit_template_blob[] __attribute__((visibility("hidden")));
extern const std::byte culprit_template_avx2[] __attribute__((visibility("hidden")));
extern const std::uint32_t culprit_template_index[] __attribute__((visibility("hidden")));
extern const std::uint32_t culprit_template_index_end[] __attribute__((visibility("hidden")));
}

namespace culprit::x86::testing {

std::vector<Template> templates() {
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const auto avx2_start = static_cast<std::uint32_t>(culprit_template_avx2 - culprit_template_blob);
  std::vector<Template> result;
  for (const auto* entry = culprit_template_index; entry != culprit_template_index_end;
       entry += 2) {
    Template t;
    t.code = {culprit_template_blob + entry[0], entry[1] - entry[0]};
    t.needs_avx2 = entry[0] >= avx2_start;
    if (avx2 || !t.needs_avx2) result.push_back(t);
  }
  return result;
}

}  // namespace culprit::x86::testing
