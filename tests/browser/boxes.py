"""Makes boxes.ttf, a font in which every character is the same box: pictures taken with it are alike on machines with other fonts.

`python -m tests.browser.boxes` writes it; needs fontTools, which no test does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

FONT = Path(__file__).parent / "looks" / "boxes.ttf"
UNITS, WIDTH, HIGH = 1000, 500, 500
ASCENT, DESCENT = 930, 240


def make() -> None:
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.ttLib.tables._c_m_a_p import CmapSubtable

    def glyph(*corners: tuple[int, int]) -> Any:
        pen: Any = TTGlyphPen(None)
        for n, corner in enumerate(corners):
            (pen.lineTo if n else pen.moveTo)(corner)
        if corners:
            pen.closePath()
        return pen.glyph()

    box = glyph((40, 0), (40, HIGH), (WIDTH - 40, HIGH), (WIDTH - 40, 0))
    names = [".notdef", "space", "box"]
    made: Any = FontBuilder(UNITS, isTTF=True)
    made.setupGlyphOrder(names)
    made.setupGlyf({".notdef": box, "space": glyph(), "box": box})
    made.setupHorizontalMetrics({".notdef": (WIDTH, 40), "space": (WIDTH // 2, 0), "box": (WIDTH, 40)})
    made.setupHorizontalHeader(ascent=ASCENT, descent=-DESCENT)
    made.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    made.setupCharacterMap({0x20: "space", 0x41: "box"})
    made.setupOS2(sTypoAscender=ASCENT, sTypoDescender=-DESCENT, sTypoLineGap=0, usWinAscent=ASCENT, usWinDescent=DESCENT)
    made.setupPost(keepGlyphNames=False)
    many: Any = CmapSubtable.newSubtable(13)  # many characters, one glyph
    many.platformID, many.platEncID, many.reserved, many.length, many.language = 3, 10, 0, 0, 0
    many.cmap = {0x20: "space", 0xA0: "space"} | {
        code: "box" for code in range(0x21, 0x30000) if code != 0xA0 and not 0xD800 <= code < 0xE000
    }
    made.font["cmap"].tables.append(many)
    FONT.parent.mkdir(exist_ok=True)
    made.font["head"].created = made.font["head"].modified = 0
    made.save(FONT)


if __name__ == "__main__":
    make()
    print(f"{FONT}: {FONT.stat().st_size} bytes")
