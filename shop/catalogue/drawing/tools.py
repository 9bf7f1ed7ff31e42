"""Things with an edge, and what goes with them."""

from shop.catalogue.drawing.canvas import BRASS, CREAM, DARK_WOOD, INK, STEEL, Canvas, darken, lighten


def draw_belt_knife(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(45, 200, 200):
        c.ellipse(176, 196, 30, 160, "#1b2624", 0.1)
        c.path("M172 34v164h-34v-90q4-44 34-74z", c.volume(STEEL, 0.28))
        c.path("M172 34q-30 30-34 74v90h9v-90q4-42 25-62z", lighten(STEEL, 0.5), opacity=0.6)
        c.line("M146 100v98", darken(STEEL, 0.2), 2)
        c.rect(134, 198, 42, 12, BRASS, 3)
        c.path("M136 210h38q10 40 4 76 4 44-22 46-26-2-24-46-4-40 4-76z", c.volume(colour, 0.24))
        c.line("M148 220q-6 50-2 100M162 220q8 50 2 96", darken(colour, 0.22), 2.5)
        c.path("M222 96h50q10 90-8 200-4 30-18 34-12-6-16-34-16-110-8-200z", c.volume(accent, 0.22))
        c.path("M230 106h34q8 86-8 186-2 16-10 22", stroke=lighten(accent, 0.4), width=2.5)
        c.path("M226 96q22-40 42 0z", darken(accent, 0.2))
        c.rect(218, 116, 58, 12, darken(accent, 0.25), 4)


def draw_folding_knife(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(-28, 200, 200):
        c.ellipse(200, 268, 150, 16, "#1b2624", 0.12)
        c.path("M206 216q10-60 70-92 54-26 76-20-10 54-66 92l-54 34z", c.volume(STEEL, 0.28))
        c.path("M236 206q60-34 116-102-10 54-66 92l-34 22z", lighten(STEEL, 0.45), opacity=0.6)
        c.path(
            "M46 246q-14-38 20-40 70-14 154-4 18 4 16 26t-20 26q-84 14-146 12-20-4-24-20z",
            c.volume(colour, 0.26, "down"),
        )
        for d in ("M66 226q60-14 130-6", "M62 242q70-10 138 0", "M84 216q20 16 10 40", "M140 212q18 18 8 44"):
            c.line(d, darken(colour, 0.24), 2.5)
        c.circle(222, 228, 22, c.volume(BRASS, 0.24))
        c.circle(222, 228, 9, darken(BRASS, 0.4))
        c.line("M52 236q-30-10-22-44", accent, 5)


def draw_axe(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(24, 200, 200):
        c.ellipse(214, 210, 26, 150, "#1b2624", 0.1)
        c.path("M188 76h26q-6 110 4 200 4 50 14 66-24 16-44-2-4-30-4-64 8-90 4-200z", c.volume(colour, 0.24))
        c.line("M200 150q-4 90 2 170", darken(colour, 0.2), 2.5)
        c.path("M182 300q24 10 40 0l8 40q-24 16-42-2z", accent)
        head = "M180 72q44-12 78 4v62q-20 2-36-8-22-8-42-2-40 18-74 46-16-52 0-118 36 18 74 16z"
        c.path(head, c.volume("#59646a", 0.3, "down"))
        c.path("M106 56q-16 66 0 118l18-14q-12-48 0-94z", lighten(STEEL, 0.35))
        c.path("M188 68h26v12h-26z", lighten(colour, 0.3))


def draw_hatchet(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(-32, 200, 200):
        c.ellipse(218, 230, 24, 110, "#1b2624", 0.1)
        c.path("M186 112h28q-4 80 4 130 4 40 14 54-22 16-46 0-4-60 0-184z", c.volume(colour, 0.24))
        c.line("M198 160q-2 60 4 120", darken(colour, 0.2), 2.5)
        c.path("M176 92h56v52q-28 4-50-2-34 20-66 48-20-48-4-112 30 14 64 14z", c.volume("#6b767b", 0.28, "down"))
        c.path("M112 78q-16 64 4 112l16-14q-14-44-2-90z", lighten(STEEL, 0.4))
        c.rect(186, 84, 28, 12, lighten(colour, 0.3))
        c.line("M208 296q22 24 4 44-18-14-4-44", accent, 5)


def draw_bow_saw(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 312, 150)
    c.line("M92 108L308 108", accent, 4)
    c.line("M92 116L308 100", darken(accent, 0.2), 3)
    c.rect(96, 186, 208, 20, c.volume(colour, 0.26, "down"), 8)
    for mirror in (False, True):
        with c.moved(0, 0, mirror):
            c.path("M82 88q14-10 20 6 6 90-4 120 0 40 8 74-10 18-28 8-4-52-2-92 4-60 6-116z", c.volume(colour, 0.24))
    c.rect(192, 96, 15, 98, c.volume(darken(colour, 0.15), 0.2), 6)
    teeth = "".join("l6 12 6-12" for _ in range(18))
    c.path(f"M92 262h216v16{teeth.replace('l6 12 6-12', 'l-6 12-6-12')}z", c.volume(STEEL, 0.2))
    for x in (90, 310):
        c.circle(x, 270, 8, BRASS)


def draw_whetstone(c: Canvas, colour: str, accent: str) -> None:
    with c.moved(0, 30):
        c.shadow(200, 296, 150)
        c.path("M64 232l46-40h228l-34 40z", lighten(accent, 0.15))
        c.path("M64 232h240v52H64z", c.volume(accent, 0.2))
        c.path("M304 232l34-40v50l-34 42z", darken(accent, 0.3))
        c.path("M88 212l34-34h192l-26 34z", lighten(colour, 0.2))
        c.path("M88 212h200v16H88z", c.volume(colour))
        c.path("M288 212l26-34v18l-26 32z", darken(colour, 0.3))
        c.path("M88 220h200v8H88z", darken(colour, 0.25))
        for x, y in ((150, 196), (200, 188), (246, 198), (180, 204), (268, 186)):
            c.ellipse(x, y, 9, 3, "#ffffff", 0.5)
        with c.turned(-14, 200, 150):
            c.path("M152 128h118q48 6 72 40H152z", c.volume(STEEL, 0.3, "down"))
            c.path("M152 158h176l14 10H152z", lighten(STEEL, 0.5))
            c.rect(52, 126, 108, 30, c.volume(DARK_WOOD, 0.26, "down"), 10)
            for x in (76, 106, 136):
                c.circle(x, 141, 4, lighten(STEEL, 0.3))


def draw_spade(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(20, 200, 200):
        c.ellipse(206, 352, 62, 9, "#1b2624", 0.14)
        c.rect(190, 84, 20, 150, c.volume(colour, 0.26), 6)
        c.path(
            "M156 40h88q14 0 12 16l-8 26q-4 12-16 14h-64q-12-2-16-14l-8-26q-2-16 12-16zm12 20l8 18h48l8-18z",
            c.volume(colour, 0.24),
        )
        c.rect(184, 206, 32, 44, c.volume(darken(accent, 0.15), 0.24), 6)
        blade = "M142 244h116q10 70-8 92-22 20-50 26-28-6-50-26-18-22-8-92z"
        c.path(blade, c.volume(accent, 0.28))
        c.line("M200 250v86", darken(accent, 0.25), 4)
        c.path("M142 244h116l2 12H140z", darken(accent, 0.3))
        c.path("M148 330q20 24 52 32 32-8 52-32-20 14-52 16-32-2-52-16z", lighten(accent, 0.45))
        c.circle(200, 218, 4, lighten(accent, 0.5))


def draw_rope_coil(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 322, 130)
    for index, y in enumerate((296, 270, 244, 218, 192)):
        rx = 118 - index % 2 * 6
        c.ellipse(200, y, rx, 44, darken(colour, 0.3))
        c.ellipse(200, y - 3, rx - 1, 42, c.volume(colour, 0.22))
        for step in range(-5, 6):
            x = 200 + step * 20
            drop = 40 * (1 - (step * 20 / rx) ** 2) ** 0.5
            c.line(f"M{x - 6} {y + drop - 14:.0f}q4 6 12 10", darken(colour, 0.3), 3)
    c.ellipse(200, 180, 76, 25, darken(colour, 0.55))
    c.line("M262 190q60-20 52-80-6-30-36-26-22 6-14 30 10 40 44 60", darken(colour, 0.25), 15)
    c.line("M262 190q60-20 52-80-6-30-36-26-22 6-14 30 10 40 44 60", lighten(colour, 0.08), 10)
    c.path("M300 164l22 2 6 26-24 0z", accent)


def draw_compass(c: Canvas, colour: str, accent: str) -> None:
    c.circle(200, 62, 17, "none", darken(colour, 0.15), 8)
    c.rect(188, 74, 24, 22, c.volume(colour, 0.3), 4)
    c.circle(200, 212, 124, c.volume(colour, 0.3))
    c.circle(200, 212, 108, darken(colour, 0.4))
    c.circle(200, 212, 103, c.volume(CREAM, 0.08))
    for turn in range(0, 360, 15):
        with c.turned(turn, 200, 212):
            c.rect(199, 116, 2 if turn % 45 else 3.5, 8 if turn % 45 else 15, INK)
    c.path("M200 150l12 50 50 12-50 12-12 50-12-50-50-12 50-12z", lighten(colour, 0.35))
    with c.turned(34, 200, 212):
        c.path("M200 128l15 84h-30z", accent)
        c.path("M200 296l15-84h-30z", INK)
    c.circle(200, 212, 9, c.volume(colour, 0.3))
    c.path("M124 166q28-50 84-52-62 12-74 66z", "#ffffff", opacity=0.6)
