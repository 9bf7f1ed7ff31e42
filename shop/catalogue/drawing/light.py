"""Things that glow, burn and spark."""

from shop.catalogue.drawing.canvas import BRASS, CREAM, FLAME, GLASS, INK, IRON, STEEL, Canvas, darken, lighten


def draw_flame(c: Canvas, x: float, y: float, size: float = 1) -> None:
    """A flame that stands on (x, y), 60 high at size 1."""
    with c.turned(0, x, y, size):
        c.path(f"M{x} {y - 62}q26 30 20 46-4 16-20 16t-20-16q-4-18 20-46z", FLAME)
        c.path(f"M{x} {y - 34}q14 16 10 25-2 9-10 9t-10-9q-2-10 10-25z", "#fbe7a8")


def draw_lantern(c: Canvas, colour: str, accent: str) -> None:
    c.glow(200, 206, 190, "#ffd98a", 0.55)
    c.shadow(200, 340, 90)
    c.line("M122 200Q118 48 200 48t78 152", IRON, 6)
    c.path("M178 76h44l8 26h-60z", c.volume(colour, 0.26))
    c.path("M154 102h92l10 24H144z", c.volume(darken(colour, 0.08), 0.26))
    c.path("M156 130q-26 66 4 134h80q30-68 4-134z", GLASS, opacity=0.55)
    draw_flame(c, 200, 258, 1.25)
    c.path("M166 136q-18 60 0 120", stroke="#ffffff", width=6, opacity=0.7)
    c.line("M144 128q-30 76 10 138M256 128q30 76-10 138M142 196h116", darken(colour, 0.25), 5)
    c.rect(148, 262, 104, 20, c.volume(accent, 0.26), 6)
    c.path("M128 282h144q18 0 18 20v24q0 10-12 10H122q-12 0-12-10v-24q0-20 18-20z", c.volume(colour, 0.28))
    c.circle(286, 300, 9, accent)
    c.rect(118, 318, 164, 6, darken(colour, 0.3), 3)


def draw_table_lamp(c: Canvas, colour: str, accent: str) -> None:
    c.glow(200, 190, 190, "#ffe2a6", 0.6)
    c.shadow(200, 344, 84)
    c.path("M186 196h28l4 60q26 22 26 52 0 26-20 34h-48q-20-8-20-34 0-30 26-52z", c.volume(colour, 0.26))
    c.line("M160 300q40 12 80 0", darken(colour, 0.22), 3)
    c.rect(150, 334, 100, 12, c.volume(darken(colour, 0.15), 0.26), 6)
    c.path("M148 74h104l46 126q-98 22-196 0z", c.volume(accent, 0.12))
    c.path("M148 74h30l-24 134-52-8z", "#ffffff", opacity=0.3)
    c.line("M102 200q98 22 196 0M148 75h104", darken(accent, 0.2), 4)
    c.line("M232 214v40", BRASS, 2.5)
    c.circle(232, 258, 5, BRASS)


def draw_head_torch(c: Canvas, colour: str, accent: str) -> None:
    c.path("M150 226L-20 300v120h300l-80-170z", "#fff3c4", opacity=0.4)
    c.shadow(220, 326, 130)
    c.path(
        "M98 196a128 96 0 0 1 256 0 128 96 0 0 1-256 0zm36-6a94 62 0 0 0 186 0 94 62 0 0 0-186 0z", darken(accent, 0.4)
    )
    c.path("M98 206a128 96 0 0 0 256 0v36a128 96 0 0 1-256 0z", c.volume(accent, 0.26))
    c.line("M104 238a122 90 0 0 0 244 0", lighten(accent, 0.35), 3)
    c.rect(288, 262, 34, 34, INK, 5)
    with c.turned(8, 170, 250):
        c.rect(96, 182, 136, 112, c.volume(colour, 0.26), 26)
        c.circle(154, 238, 45, darken(colour, 0.35))
        c.circle(154, 238, 38, c.volume(STEEL, 0.3))
        c.circle(154, 238, 27, "#fff8dc")
        c.circle(154, 238, 12, "#ffe08a")
        c.circle(212, 212, 8, "#c43f2e")
        c.rect(203, 244, 18, 26, darken(colour, 0.4), 6)
    c.glow(150, 236, 90, "#fff3c4", 0.6)


def draw_hand_torch(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(-32, 200, 200):
        c.path("M296 158L470 90v220L296 242z", "#fff0b8", opacity=0.5)
        c.path("M296 170L470 136v128L296 230z", "#fff8dc", opacity=0.6)
        c.ellipse(180, 262, 130, 14, "#1b2624", 0.14)
        c.rect(44, 172, 170, 56, c.volume(colour, 0.34, "down"), 12)
        for x in range(74, 186, 12):
            c.rect(x, 172, 4, 56, darken(colour, 0.35))
        c.path("M206 172l48-22q44-6 48 6v88q-4 12-48 6l-48-22z", c.volume(colour, 0.34, "down"))
        c.rect(288, 148, 18, 104, c.volume(STEEL, 0.34, "down"), 7)
        c.rect(188, 184, 30, 16, accent, 8)
        c.rect(44, 172, 22, 56, darken(colour, 0.3), 10)
        c.line("M44 200h-14q-10 4-8 16", accent, 5)


def draw_jar_candle(c: Canvas, colour: str, accent: str) -> None:
    c.glow(200, 140, 150, "#ffdf9a", 0.6)
    c.shadow(200, 334, 96)
    body = "M112 158h176l-6 160q-2 16-20 16H138q-18 0-20-16z"
    c.path(body, c.volume(GLASS, 0.1), opacity=0.9)
    with c.clipped(body):
        c.rect(100, 198, 200, 150, c.volume(colour, 0.16))
        c.ellipse(200, 198, 90, 15, lighten(colour, 0.35))
        c.path("M126 150h16l6 190h-16z", "#ffffff", opacity=0.5)
    c.line("M200 200v-22", INK, 4)
    draw_flame(c, 200, 184, 1.2)
    c.rect(146, 226, 108, 74, CREAM, 3)
    c.path("M200 234l14 19h-7l11 15h-36l11-15h-7z", accent)
    c.rect(197, 268, 6, 9, accent)
    c.line("M172 288h56", darken(CREAM, 0.4), 3)
    c.ellipse(200, 158, 88, 14, "#ffffff", 0.4)


def draw_sea_candle(c: Canvas, colour: str, accent: str) -> None:
    draw_jar_candle(c, colour, CREAM)
    c.path("M156 262q11-16 22 0t22 0 22 0 22 0", stroke=accent, width=5)
    c.path("M156 278q11-16 22 0t22 0 22 0 22 0", stroke=lighten(accent, 0.3), width=4)
    c.circle(226, 244, 8, FLAME)


def draw_tapers(c: Canvas, colour: str, accent: str) -> None:
    c.glow(160, 90, 110, "#ffdf9a", 0.6)
    c.glow(246, 112, 100, "#ffdf9a", 0.6)
    c.shadow(200, 342, 110)
    for x, y in ((160, 112), (246, 134)):
        c.line(f"M{x} {y}v-14", INK, 3.5)
        draw_flame(c, x, y - 6, 0.9)
        c.path(f"M{x - 11} {y}q11-6 22 0l4 {266 - y}h-30z", c.volume(colour, 0.24))
        c.path(f"M{x + 8} {y}q8 30 6 60 4 18 2 26-6-6-8-30z", lighten(colour, 0.2))
        c.rect(x - 21, 262, 42, 32, c.volume(accent, 0.4), 5)
    c.line("M160 292q0 34 40 38t46-38", accent, 9)
    c.path("M120 334q80-28 160 0 8 12-10 12H130q-18 0-10-12z", c.volume(accent, 0.4))


def draw_matchbox(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 326, 120)
    for index, x in enumerate(range(126, 280, 17)):
        top = 82 + (index * 37) % 26
        c.rect(x, top, 9, 140, c.volume("#d9bd8c", 0.2), 2)
        c.ellipse(x + 4.5, top + 4, 8, 13, accent)
        c.ellipse(x + 2, top, 2.5, 4, lighten(accent, 0.5), 0.7)
    c.rect(104, 190, 192, 136, c.volume(colour, 0.16), 5)
    c.rect(116, 202, 168, 112, CREAM, 3)
    c.path("M116 296l44-48 26 24 34-46 64 70v18H116z", darken(colour, 0.1))
    c.circle(244, 228, 14, FLAME)
    c.path("M150 304v-22l-12 8 12-30 12 30-12-8", darken(colour, 0.45), darken(colour, 0.45), 3)
    c.rect(286, 196, 10, 124, darken(colour, 0.45))


def draw_fire_steel(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(-40, 190, 190):
        c.rect(30, 196, 320, 14, "#1b2624", 7, 0.12)
        c.rect(160, 178, 190, 22, c.volume(IRON, 0.4, "down"), 8)
        c.path("M40 172q60-14 130-2v38q-70 12-130-2-16-16 0-34z", c.volume(colour, 0.26, "down"))
        c.line("M64 178q40-6 96 0M60 200q50 8 90 2", darken(colour, 0.25), 2.5)
        c.circle(58, 189, 6, darken(colour, 0.5))
    c.line("M92 284q-40 30-20 66 22 8 24-20 2-24 30-34", accent, 5)
    with c.turned(38, 250, 220):
        c.path("M196 226h120v22H196q-14-10 0-22z", c.volume(STEEL, 0.3, "down"))
        c.line("M206 246h104", darken(STEEL, 0.35), 3)
    for x, y, r in (
        (206, 250, 6),
        (184, 276, 5),
        (226, 284, 4),
        (196, 306, 4),
        (168, 300, 3),
        (216, 318, 3),
        (240, 262, 3),
    ):
        c.circle(x, y, r, FLAME)
        c.circle(x, y, r / 2, "#fff3c4")
    c.glow(204, 262, 70, "#ffd27a", 0.7)
    c.line("M204 248l-10 52M208 248l14 50M200 250l-36 40M212 246l36 34", FLAME, 2.5)


def draw_fire_bowl(c: Canvas, colour: str, accent: str) -> None:
    c.glow(200, 160, 180, "#ffbf6b", 0.5)
    c.shadow(200, 340, 130)
    c.line("M140 280l-24 56M260 280l24 56M200 296v40", darken(colour, 0.3), 12)
    draw_flame(c, 158, 228, 1.7)
    draw_flame(c, 246, 228, 1.6)
    draw_flame(c, 202, 232, 2.5)
    c.line("M116 222l120-26M284 222l-120-26", darken("#7b5a3d", 0.1), 17)
    c.circle(116, 222, 9, "#d6b78a")
    c.circle(284, 222, 9, "#d6b78a")
    c.path("M68 220h264q-14 92-132 94-118-2-132-94z", c.volume(colour, 0.34))
    c.path("M90 236q14 60 84 70-76-6-96-70z", lighten(colour, 0.35), opacity=0.6)
    c.rect(58, 212, 284, 15, c.volume(accent, 0.3), 7)
