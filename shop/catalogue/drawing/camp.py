"""Tents, beds and seats."""

from shop.catalogue.drawing.canvas import CREAM, DARK_WOOD, INK, LEATHER, OAK, ROPE, STEEL, Canvas, darken, lighten


def draw_tunnel_tent(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(205, 318, 165)
    c.line("M120 186L42 318M318 226l46 92M330 260l40 56", ROPE, 2.5)
    c.path("M66 316Q78 196 170 172q96-22 146 44 34 46 36 100z", c.volume(colour, 0.2))
    c.path("M66 316q12-106 88-138-34 60-28 138z", darken(colour, 0.1))
    c.path("M84 316q6-66 40-102-14 50-8 102z", darken(colour, 0.55))
    c.path("M116 316q-6-52 8-102 12 46 4 102z", accent)
    for d in ("M154 178q-34 60-28 138", "M232 168q26 66 18 148", "M300 200q26 56 20 116"):
        c.line(d, darken(colour, 0.3), 3)
    c.path("M168 306q-6-70 20-126l36-6q-26 68-24 132z", lighten(colour, 0.14))
    c.path("M262 250q24-12 40 4l2 34q-22-8-42 0z", lighten(accent, 0.25))
    c.rect(60, 312, 296, 6, darken(colour, 0.4), 3)


def draw_dome_tent(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 318, 160)
    c.line("M84 256l-46 62M316 256l46 62", ROPE, 2.5)
    c.path("M66 316q12-168 134-174 122 6 134 174z", c.volume(colour, 0.2))
    c.path("M200 142q-86 40-92 174H66q12-168 134-174z", lighten(colour, 0.12))
    c.path("M200 142q86 40 92 174h42q-12-168-134-174z", darken(colour, 0.16))
    c.path("M146 316q4-104 54-116 50 12 54 116z", darken(colour, 0.55))
    c.path("M200 200q-50 12-54 116h30q-10-70 24-116z", accent)
    c.line("M200 200q-34 46-24 116", darken(accent, 0.25), 2.5)
    c.line("M66 316q30-150 134-174 104 24 134 174", darken(colour, 0.35), 4)
    c.line("M108 316q8-130 92-174 84 44 92 174", darken(colour, 0.25), 3)
    c.path("M168 150q32-26 64 0l-10 16q-22-12-44 0z", accent)
    c.rect(60, 312, 280, 6, darken(colour, 0.4), 3)


def draw_tipi(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 320, 155)
    c.line("M184 104L166 54M200 96V46M216 104l20-50", DARK_WOOD, 6)
    c.line("M96 262l-52 58M304 262l52 58", ROPE, 2.5)
    c.path("M200 84L346 320H54z", c.volume(colour, 0.18))
    c.path("M200 84L128 320H54z", lighten(colour, 0.25))
    c.path("M200 84l84 236h62z", darken(colour, 0.16))
    c.line("M200 84L128 320M200 84l84 236", darken(colour, 0.22), 2)
    c.path("M200 158l44 162h-88z", darken(colour, 0.62))
    with c.clipped("M200 158l44 162h-88z"):
        c.glow(200, 310, 76, "#f2b65a", 0.8)
    c.path("M200 158l-44 162h-22q44-70 66-162z", accent)
    c.path("M200 158l44 162h22q-44-70-66-162z", darken(accent, 0.15))
    c.path("M184 110q16 12 32 0l-16-26z", darken(colour, 0.35))
    c.line("M58 314h284", accent, 7)


def draw_trunks(c: Canvas) -> None:
    """Two trees to hang something between."""
    for x in (62, 312):
        c.path(f"M{x} 60h26l4 262h-34z", c.volume("#7b624b", 0.2))
        c.line(f"M{x + 6} 110v26M{x + 18} 160v34M{x + 8} 230v30", darken("#7b624b", 0.3), 2.5)


def draw_tarp(c: Canvas, colour: str, accent: str) -> None:
    draw_trunks(c)
    c.shadow(200, 320, 150)
    c.line("M75 128L325 128", ROPE, 3.5)
    c.path("M104 128h192l30 100q-60-14-126-12-66-2-126 14z", darken(colour, 0.3))
    c.path("M104 128h192l52 154q-72-22-148-20-76-2-148 22z", c.volume(colour, 0.16))
    c.path("M104 128h96v134q-76-2-148 22z", lighten(colour, 0.1))
    c.line("M200 128v134", darken(colour, 0.2), 2.5)
    c.line("M104 128L52 284M296 128l52 154", accent, 5)
    c.line("M52 284L30 322M348 282l22 40", ROPE, 2.5)
    for x, y in ((52, 284), (348, 282), (200, 262)):
        c.circle(x, y, 4.5, accent)


def draw_hammock(c: Canvas, colour: str, accent: str) -> None:
    draw_trunks(c)
    c.shadow(200, 322, 110, 9)
    c.line("M76 142L116 178M324 142L284 178", ROPE, 5)
    c.path("M110 172q90 172 180 0-90 84-180 0z", darken(colour, 0.35))
    c.path("M110 172q26 66 90 66t90-66q-16 120-90 120t-90-120z", c.volume(colour, 0.18))
    with c.clipped("M110 172q26 66 90 66t90-66q-16 120-90 120t-90-120z"):
        c.line("M110 190q90 118 180 0", accent, 9)
        c.line("M110 218q90 108 180 0", lighten(colour, 0.3), 6)
    for x in (68, 316):
        c.rect(x, 136, 26, 11, accent, 2)


def draw_mummy_bag(c: Canvas, colour: str, accent: str) -> None:
    body = "M140 108q10-62 60-62t60 62q34 40 24 126-8 106-84 108-76-2-84-108-10-86 24-126z"
    with c.turned(14, 200, 200, 0.98):
        c.ellipse(206, 344, 74, 12, "#1b2624", 0.14)
        c.path(body, c.volume(colour, 0.2))
        with c.clipped(body):
            for y in (158, 196, 234, 272, 308):
                c.line(f"M110 {y}q90 26 180 0", darken(colour, 0.22), 3)
                c.line(f"M110 {y + 5}q90 26 180 0", lighten(colour, 0.2), 2)
        c.path("M156 112q4-46 44-46t44 46q-8 34-44 34t-44-34z", accent)
        c.path("M166 116q4-36 34-36t34 36q-8 24-34 24t-34-24z", darken(accent, 0.35))
        c.line("M250 130q22 60 14 150", CREAM, 3.5)
        c.rect(259, 272, 9, 18, CREAM, 3)


def draw_quilt_bag(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 326, 130)
    body = "M104 96q96-22 192 0 18 110 6 214-102 24-204 0-12-104 6-214z"
    c.path(body, c.volume(colour, 0.16))
    with c.clipped(body):
        for y in (130, 176, 222, 268):
            c.line(f"M90 {y + 20}q110-24 220 0", darken(colour, 0.18), 3)
        for x in (150, 200, 250):
            c.line(f"M{x} 90v240", darken(colour, 0.1), 2.5)
    c.path("M296 96q14 80 10 130-64-40-106-140 60-2 96 10z", accent)
    c.path("M296 96q14 80 10 130-70-60-106-140 60-2 96 10z", darken(accent, 0.16))
    c.line("M200 86q36 80 106 140", CREAM, 3)


def draw_roll(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 300, 140)
    c.path("M92 170h190a62 62 0 0 1 0 124H92z", c.volume(colour, 0.22, "down"))
    c.ellipse(96, 232, 46, 62, lighten(colour, 0.22))
    c.line("M96 180a36 50 0 1 0 30 70 24 34 0 1 0-46-42 15 20 0 1 0 26 22", darken(colour, 0.25), 4)
    for x in (168, 262):
        c.path(f"M{x} 169q16 62 0 126h18q16-64 0-126z", accent)
        c.rect(x + 3, 206, 21, 18, INK, 3)
    c.line("M178 169q42-62 92 0", accent, 7)


def draw_folding_chair(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 334, 130)
    c.line("M118 240L282 332M282 240L118 332", STEEL, 8)
    c.line("M112 150V332M288 150V332", darken(STEEL, 0.2), 8)
    c.line("M124 236V92M276 236V92", STEEL, 8)
    c.path("M120 92q80 16 160 0v104q-80 20-160 0z", c.volume(colour, 0.16))
    c.path("M116 214q84 18 168 0l16 44q-100 22-200 0z", c.volume(darken(colour, 0.08), 0.16))
    c.line("M124 104q76 14 152 0M124 186q76 18 152 0", lighten(colour, 0.35), 2)
    c.rect(94, 176, 42, 13, accent, 6)
    c.rect(264, 176, 42, 13, darken(accent, 0.15), 6)
    c.line("M112 186v40M288 186v40", STEEL, 6)


def draw_tripod_stool(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 332, 120)
    c.line("M150 150L272 330", darken(OAK, 0.3), 13)
    c.line("M250 150L128 330", OAK, 13)
    c.line("M200 140V336", lighten(OAK, 0.12), 13)
    c.circle(201, 228, 13, c.volume(LEATHER))
    c.path("M112 128q88-30 176 0 8 14-6 24-82 44-164 0-14-10-6-24z", c.volume(colour, 0.22))
    c.line("M124 138q76 34 152 0", lighten(colour, 0.35), 2)
    for x, y in ((128, 134), (272, 134), (200, 158)):
        c.circle(x, y, 6, accent)
