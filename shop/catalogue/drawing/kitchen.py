"""Things that boil, bake and pour over a fire."""

from shop.catalogue.drawing.canvas import CREAM, DARK_WOOD, FLAME, INK, STEEL, Canvas, darken, lighten


def draw_steam(c: Canvas, x: float, y: float) -> None:
    """Three curls of steam that end at (x, y)."""
    for dx, height in ((-26, 34), (0, 48), (26, 34)):
        c.line(f"M{x + dx} {y}q-12-{height / 2} 0-{height}t0-{height / 2}", "#ffffff", 5, 0.65)


def draw_kettle(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(205, 322, 118)
    c.line("M132 196Q126 82 200 80t68 116", darken(STEEL, 0.35), 8)
    c.rect(164, 70, 72, 19, c.volume(accent, 0.2, "down"), 9)
    c.path("M266 262q44-8 56-66l20 6q-4 88-70 106z", c.volume(darken(colour, 0.06)))
    body = "M104 300q-10-84 48-108h96q58 24 48 108-4 20-26 22H130q-22-2-26-22z"
    c.path(body, c.volume(colour, 0.24))
    with c.clipped(body):
        c.path("M124 320q-14-80 30-120h18q-40 44-28 120z", lighten(colour, 0.4), opacity=0.6)
        c.rect(90, 300, 220, 30, darken(colour, 0.28), opacity=0.55)
    c.path("M146 194q54-34 108 0z", c.volume(lighten(colour, 0.06)))
    c.line("M144 195h112", darken(colour, 0.35), 4)
    c.circle(200, 168, 11, accent)
    c.circle(132, 196, 7, darken(STEEL, 0.35))
    c.circle(268, 196, 7, darken(STEEL, 0.35))


def draw_mug(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(196, 318, 100)
    draw_steam(c, 186, 120)
    c.line("M258 184q62-6 56 46t-62 52", darken(colour, 0.18), 17)
    c.line("M258 184q62-6 56 46t-62 52", colour, 12)
    body = "M112 152l8 142q2 22 26 24h80q24-2 26-24l8-142z"
    c.path(body, c.volume(colour, 0.18))
    with c.clipped(body):
        c.path("M128 152l8 170h18l-6-170z", "#ffffff", opacity=0.4)
        for x, y, r in ((150, 196, 2), (176, 250, 2.5), (222, 214, 2), (206, 284, 2), (236, 264, 2.5), (190, 190, 1.8)):
            c.circle(x, y, r, accent)
        c.path("M166 236l20-30 20 30h-10l14 22h-48l14-22z", accent, opacity=0.9)
        c.rect(182, 256, 8, 14, accent, opacity=0.9)
    c.ellipse(186, 152, 74, 18, accent)
    c.ellipse(186, 153, 66, 14, lighten(colour, 0.1))
    c.ellipse(186, 156, 60, 11, "#4a3023")


def draw_kuksa(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(190, 302, 112)
    c.path("M256 204q70-24 92 2 4 30-40 34-30 4-52 12z", c.volume(darken(colour, 0.06)))
    c.ellipse(312, 220, 13, 8, darken(colour, 0.6))
    body = "M74 190q6 110 106 112 100-2 106-112z"
    c.path(body, c.volume(colour, 0.24))
    with c.clipped(body):
        for y in (216, 240, 262, 282):
            c.line(f"M70 {y}q60 18 110 4t110-2", darken(colour, 0.22), 2.5)
        c.ellipse(150, 246, 20, 12, darken(colour, 0.2))
        c.ellipse(150, 246, 11, 6, darken(colour, 0.34))
    c.ellipse(180, 190, 106, 24, lighten(colour, 0.22))
    c.ellipse(180, 192, 94, 19, darken(colour, 0.25))
    c.ellipse(180, 196, 84, 14, "#4a3023")
    c.line("M312 224q14 34 4 62", accent, 4)
    c.circle(315, 290, 7, lighten(colour, 0.3))


def draw_pot(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 334, 120)
    c.line("M96 190Q100 74 200 72t104 118", darken(colour, 0.2), 8)
    c.line("M126 300l-14 32M274 300l14 32M200 310v26", darken(colour, 0.25), 15)
    body = "M88 192q-6 126 112 128 118-2 112-128z"
    c.path(body, c.volume(colour, 0.3))
    with c.clipped(body):
        c.path("M104 192q-2 90 50 120-64-20-66-120z", lighten(colour, 0.35), opacity=0.6)
    c.rect(76, 180, 248, 17, c.volume(lighten(colour, 0.08)), 8)
    c.path("M92 180q20-44 108-44t108 44z", c.volume(lighten(colour, 0.05), 0.28))
    c.path("M180 138q0-22 20-22t20 22z", c.volume(accent))
    c.path("M120 170q24-22 66-24", stroke=lighten(colour, 0.5), width=4, opacity=0.5)


def draw_pan(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(-38, 200, 200):
        c.ellipse(150, 212, 122, 122, "#1b2624", 0.15)
        c.path("M260 186h112q14 14 0 28H260z", c.volume(colour, 0.3, "down"))
        c.circle(358, 200, 6, lighten(colour, 0.6))
        c.circle(150, 200, 120, c.volume(lighten(colour, 0.12), 0.3))
        c.circle(150, 200, 102, c.volume(darken(colour, 0.15), 0.2))
    c.path("M112 214q-14-34 24-46 30-22 56 6 36 2 28 38 8 38-34 40-34 18-52-10-26-6-22-28z", CREAM)
    c.path("M118 220q10 40 50 38 40 2 50-34", stroke="#e4dcc8", width=4)
    c.circle(166, 212, 23, c.volume(accent, 0.2))
    c.ellipse(159, 204, 7, 5, "#ffffff", 0.7)
    for x, y in ((214, 186), (128, 190), (186, 244), (150, 244)):
        c.circle(x, y, 1.8, INK)


def draw_twig_stove(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 330, 120)
    c.path("M152 176q-22-44 18-80 2 26 20 30-4-46 34-70-6 40 26 66 18 22 2 54z", c.volume(FLAME, 0.3, "down"))
    c.path("M178 176q-10-28 14-46 4 16 14 18 2-18 16-28 2 34 14 56z", "#f9e2a0")
    c.line("M126 128l40 52M282 118l-46 62M150 110l26 60", DARK_WOOD, 10)
    body = "M112 172h176l16 156H96z"
    c.path(body, c.volume(colour, 0.26))
    c.path("M112 172h176l2 16H110z", lighten(colour, 0.35))
    c.path("M158 250q42-34 84 0v52h-84z", darken(colour, 0.65))
    c.path("M170 302q-6-26 18-40 2 14 12 16 2-12 12-18 22 18 16 42z", accent)
    for x in (134, 158, 182, 206, 230, 254):
        c.circle(x + 6, 214, 6, darken(colour, 0.55))
    c.line("M108 318h184", darken(colour, 0.25), 3)


def draw_flask(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 338, 76)
    c.path("M148 142q0-26 20-34h64q20 8 20 34v176q0 18-20 20h-64q-20-2-20-20z", c.volume(colour, 0.26))
    c.rect(162, 130, 13, 190, "#ffffff", 6, 0.28)
    c.path("M158 60q0-14 14-14h56q14 0 14 14v50h-84z", c.volume(STEEL, 0.3))
    c.line("M160 72h80M160 96h80", darken(STEEL, 0.3), 2.5)
    c.rect(148, 226, 104, 12, accent)
    c.rect(148, 304, 104, 34, c.volume(STEEL, 0.3), 10)
    c.path("M188 180l12-20 12 20h-7l9 14h-28l9-14z", accent)


def draw_bottle(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 336, 74)
    c.line("M176 74q-6-36 24-38t24 38", accent, 9)
    c.rect(170, 70, 60, 34, c.volume(INK, 0.3), 7)
    c.line("M182 74v26M194 74v26M206 74v26M218 74v26", lighten(INK, 0.25), 2.5)
    c.rect(178, 104, 44, 16, c.volume(STEEL, 0.3))
    body = "M178 120h44q32 18 32 52v144q0 18-20 20h-68q-20-2-20-20V172q0-34 32-52z"
    c.path(body, c.volume(colour, 0.26))
    with c.clipped(body):
        c.path("M166 150q-8 12-8 30v140h14V176q0-16 8-26z", "#ffffff", opacity=0.4)
        c.path("M140 270l34-40 20 22 26-34 44 52v16H140z", accent, opacity=0.9)
        c.path("M140 286q30-12 60 0t60 0v14H140z", lighten(colour, 0.35), opacity=0.7)


def draw_cutlery(c: Canvas, colour: str, accent: str) -> None:
    handles = ((110, 4), (200, -2), (290, 5))
    for x, _ in handles:
        c.ellipse(x + 8, 330, 22, 8, "#1b2624", 0.14)
    c.path("M96 72q30 20 30 84v34h-30z", c.volume(STEEL, 0.26))
    c.path(
        "M172 70h9v54h10V70h9v54h10V70h9v54h9V70q6 0 6 6v56q0 28-22 34v26h-12v-26q-22-6-22-34V76q0-6 5-6z",
        c.volume(STEEL, 0.26),
    )
    c.path("M256 112q0-44 34-44t34 44q0 36-26 46v34h-16v-34q-26-10-26-46z", c.volume(STEEL, 0.26))
    c.path("M268 110q2-28 22-30-14 12-14 34 0 18 8 26-16-8-16-30z", "#ffffff", opacity=0.55)
    for x, _ in handles:
        c.path(f"M{x - 15} 190h30l5 118q-2 20-20 20t-20-20z", c.volume(colour, 0.24))
        c.line(f"M{x - 6} 206l-2 96M{x + 5} 206l2 90", darken(colour, 0.2), 2)
        c.rect(x - 15, 186, 30, 10, accent, 2)
        c.circle(x, 308, 5, darken(colour, 0.5))
