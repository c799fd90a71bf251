"""Text of a report or of the program, made fit for a terminal: the rules of src/report/sanitize.cc."""
import unicodedata

_RANGES = ((0x80, 0x9F), (0xAD, 0xAD), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
           (0x180E, 0x180E), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
           (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB), (0xFDD0, 0xFDEF), (0xE0000, 0xE0FFF))


def harmless(text, limit=400):
    """One line of at most `limit` characters with nothing in it that acts on the reader."""
    out = []
    length = 0
    for character in str(text):
        code = ord(character)
        if code < 0x20 or code == 0x7F:
            piece = f"\\x{code:02x}"
        elif unicodedata.category(character) == "Cs" or (code & 0xFFFE) == 0xFFFE or \
                any(low <= code <= high for low, high in _RANGES):
            piece = f"\\u{{{code:04x}}}"
        else:
            piece = character
        length += len(piece)
        if length > limit:
            out.append("…")
            break
        out.append(piece)
    return "".join(out)
