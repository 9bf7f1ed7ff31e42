"""What one wears on the feet, and holds in the hands, on the way."""

from shop.catalogue.drawing.canvas import BRASS, CREAM, DARK_WOOD, INK, LEATHER, STEEL, Canvas, darken, lighten


def draw_boot(c: Canvas, colour: str, accent: str) -> None:
    """One laced boot, its toe to the right."""
    c.path("M84 300h220q22 2 22 20v8H84z", c.volume(INK, 0.3))
    for x in range(92, 320, 22):
        c.rect(x, 324, 13, 10, INK, 2)
    c.path("M84 292h232q10 4 10 14H84z", CREAM)
    c.path("M96 96h104l6 104q70 12 96 42 22 22 20 52H88q-6-30 4-70z", c.volume(colour, 0.22))
    c.path("M246 222q52 12 70 46 6 14 6 26h-86q-6-40 10-72z", darken(colour, 0.16))
    c.path("M92 224q-10 34-4 70h54q6-40-50-70z", darken(colour, 0.2))
    c.path("M150 96h46l10 104-28 34q-26-60-28-138z", darken(colour, 0.12))
    for index, (x, y) in enumerate(((158, 120), (160, 144), (164, 168), (170, 192), (180, 214))):
        c.line(f"M{x} {y}l{42 + index * 2} {6 + index}", accent, 5)
        c.circle(x, y, 4, BRASS)
    c.line("M200 116q30-14 20 12M200 116q26 10 14 26", accent, 4)
    c.rect(88, 82, 120, 24, c.volume(darken(colour, 0.3)), 12)
    c.line("M100 82q-10-26 8-28", accent, 6)


def draw_boots(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(206, 336, 150)
    with c.turned(0, 200, 330, 0.9), c.moved(42, -16):
        draw_boot(c, darken(colour, 0.16), accent)
    with c.moved(-18, 2):
        draw_boot(c, colour, accent)


def draw_rubber_boot(c: Canvas, colour: str, accent: str) -> None:
    """One tall boot, its toe to the right."""
    c.path("M100 64h104l2 154q74 6 100 46 14 22 12 44H98q-8-120 2-244z", c.volume(colour, 0.24))
    c.path("M116 76q-8 110-2 210h14q-8-110 0-210z", "#ffffff", opacity=0.35)
    c.path("M252 232q40 12 58 40-24-14-50-14z", "#ffffff", opacity=0.4)
    c.path("M92 304h226q10 2 8 16l-2 12H98q-8-10-6-28z", c.volume(accent, 0.24))
    c.rect(96, 56, 114, 18, accent, 6)
    c.line("M102 236q60-12 104-18", darken(colour, 0.25), 3)
    c.rect(182, 98, 14, 34, accent, 3)


def draw_rubber_boots(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(206, 336, 150)
    with c.turned(0, 200, 330, 0.94), c.moved(40, -10):
        draw_rubber_boot(c, darken(colour, 0.16), accent)
    with c.moved(-22, 4):
        draw_rubber_boot(c, colour, accent)


def draw_slipper(c: Canvas, colour: str, accent: str) -> None:
    """One felt slipper, its toe to the right."""
    c.path("M70 290h240q16 4 12 18-4 10-20 10H78q-16-6-8-28z", accent)
    c.path("M70 296q-10-86 26-100 20-4 30 20 18 34 44 12 40-32 98 4 56 34 50 68z", c.volume(colour, 0.24))
    c.path("M84 206q18-18 36 10 24 46 62 8-14 42-58 38-36-8-40-56z", darken(colour, 0.45))
    c.line("M80 226q16 44 58 40 30-6 44-40", lighten(colour, 0.3), 5)
    for x in range(92, 306, 18):
        c.line(f"M{x} 284l8 6", lighten(accent, 0.35), 3)


def draw_slippers(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(204, 328, 150)
    with c.turned(0, 200, 300, 0.92), c.moved(46, -66):
        draw_slipper(c, darken(colour, 0.12), accent)
    with c.moved(-14, 10):
        draw_slipper(c, colour, accent)


def draw_pole(c: Canvas, colour: str, accent: str) -> None:
    """One trekking pole, upright."""
    c.rect(196, 120, 8, 200, c.volume(STEEL, 0.3))
    c.rect(194, 110, 12, 110, c.volume(colour, 0.3))
    c.rect(191, 210, 18, 16, INK, 3)
    c.path("M188 52q12-10 24 0l2 66q-14 10-28 0z", c.volume("#c49a6a", 0.24))
    for y in (68, 82, 96):
        c.line(f"M190 {y}h20", darken("#c49a6a", 0.3), 2.5)
    c.line("M192 54q-44 20-24 62 14 12 22-4", accent, 5)
    c.path("M176 306h48l-8 10h-32z", INK)
    c.path("M196 318h8l-3 26h-2z", darken(STEEL, 0.3))


def draw_poles(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(16, 200, 340), c.moved(6, -4):
        draw_pole(c, darken(colour, 0.12), accent)
    with c.turned(-16, 200, 340), c.moved(-6, -4):
        draw_pole(c, colour, accent)
    c.shadow(200, 340, 70, 8)


def draw_snowshoe(c: Canvas, colour: str, accent: str) -> None:
    """One snowshoe, seen from above."""
    frame = "M200 34q62 4 60 92-4 90-34 160-14 66-26 84-12-18-26-84-30-70-34-160-2-88 60-92z"
    with c.clipped(frame):
        for k in range(-6, 14):
            c.line(f"M120 {k * 30}l160 130M280 {k * 30}l-160 130", accent, 3)
    c.path(frame, stroke=darken(colour, 0.25), width=15)
    c.path(frame, stroke=colour, width=10)
    c.line("M144 168q56 14 112 0M154 232q46 12 92 0", colour, 10)
    c.path("M172 152h56l-4 88h-48z", c.volume(LEATHER, 0.24))
    c.line("M168 178h64M170 212h60", INK, 8)
    c.rect(190, 172, 20, 12, BRASS, 2)


def draw_snowshoes(c: Canvas, colour: str, accent: str) -> None:
    for turn, dx in ((16, 62), (-14, -60)):
        with c.turned(turn, 200, 200, 0.86), c.moved(dx, 2):
            draw_snowshoe(c, colour, accent)


def draw_umbrella(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(214, 344, 80, 9)
    c.line("M200 62V306q0 34 30 34 26-2 26-28", darken(accent, 0.3), 13)
    c.line("M200 62V306q0 34 30 34 26-2 26-28", accent, 8)
    c.path(
        "M46 206q6-138 154-142 148 4 154 142-24-24-50-2-28-26-52 0-26-26-52-2-26-24-52 2-24-26-52 0-26-22-50 2z",
        c.volume(colour, 0.2),
    )
    c.path("M200 64q-58 40-52 142 26-26 52-2z", lighten(colour, 0.14))
    c.path("M200 64q58 40 52 140-26-24-52 0z", darken(colour, 0.1))
    c.path("M200 64Q90 90 96 204q-26-22-50 2 6-138 154-142z", darken(colour, 0.06))
    c.line("M200 44v20", accent, 7)
    for x in (46, 96, 148, 252, 304, 354):
        c.circle(x, 207, 4, accent)
    for x, y in ((86, 268), (126, 300), (304, 262), (344, 296), (60, 318), (300, 322)):
        c.path(f"M{x} {y}q9 14 0 20-9-6 0-20z", "#7fa3b3")


def draw_sled(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(212, 318, 160)
    c.path("M62 206q-30-4-30 30 2 34 40 40h280q16-4 12-16H84q-28 0-30-24 0-14 12-16z", darken(colour, 0.35))
    c.line("M122 196v72M206 196v72M290 196v72", darken(colour, 0.25), 11)
    c.line("M60 300h290", STEEL, 6)
    c.path(
        "M66 234q-34 0-34 34 2 34 40 38h276q22-2 20-18-2-10-18-10H86q-24-2-26-18 0-12 12-12z", c.volume(colour, 0.24)
    )
    c.line("M112 206v84M208 206v84M304 206v84", darken(colour, 0.14), 11)
    for index, y in enumerate((176, 190, 204)):
        c.rect(74 - index * 6, y, 274, 12, c.volume(lighten(colour, 0.14 - index * 0.06), 0.18), 5)
    c.line("M52 240q-40-60 10-96 60-20 96 26", accent, 5)
    c.line("M82 172v46M336 172v46", darken(colour, 0.2), 6)


def draw_binoculars(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 330, 130)
    c.line("M112 116Q30 40 90 34q80-6 112 40 32-46 112-40 60 6-26 82", accent, 7)
    c.rect(176, 150, 48, 96, c.volume(darken(colour, 0.3)), 8)
    c.circle(200, 150, 21, c.volume(INK, 0.4))
    for mirror in (False, True):
        with c.moved(0, 0, mirror):
            c.path("M118 128h48q14 40 22 90l2 84q-4 22-56 22t-62-22l10-84q10-56 36-90z", c.volume(colour, 0.24))
            c.rect(112, 92, 60, 42, c.volume(INK, 0.4), 9)
            c.path("M74 292q56 26 116 0v14q-6 24-58 24t-60-22z", darken(colour, 0.35))
            for y in (220, 236, 252):
                c.line(f"M92 {y}q40 10 84 0", darken(colour, 0.25), 4)
    c.ellipse(131, 308, 42, 12, "#7fa3b3", 0.9)
    c.ellipse(269, 308, 42, 12, "#7fa3b3", 0.9)
    c.ellipse(120, 305, 14, 5, "#ffffff", 0.6)
    c.ellipse(258, 305, 14, 5, "#ffffff", 0.6)


def draw_hat(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 300, 150)
    c.ellipse(200, 258, 164, 44, darken(colour, 0.3))
    c.ellipse(200, 250, 164, 42, c.volume(colour, 0.2))
    c.path("M104 246q6-118 48-128 46-14 96 0 42 10 48 128-96 34-192 0z", c.volume(lighten(colour, 0.04), 0.22))
    c.path("M150 122q50 34 100 0-24 50-50 52-26-2-50-52z", darken(colour, 0.22))
    c.path("M104 226q96 34 192 0v22q-96 34-192 0z", accent)
    c.line("M44 256q156 66 312 0", lighten(colour, 0.25), 2.5)
    c.path("M272 232l14-46q14 20 4 42z", CREAM)
    c.line("M276 240l10-50", DARK_WOOD, 2)
