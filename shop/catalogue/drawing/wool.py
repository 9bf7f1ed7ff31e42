"""Things to wear and to wrap in."""

from shop.catalogue.drawing.canvas import BRASS, CREAM, INK, LEATHER, Canvas, darken, lighten

KNIT = (
    "M92 120q40-40 76-46 32 18 64 0 36 6 76 46 20 60 34 164-24 14-46 6l-16-96v124q-80 22-160 0V194l-16 96"
    "q-22 8-46-6 14-104 34-164z"
)


def draw_fold(c: Canvas, colour: str, y: float, height: float, inset: float) -> None:
    """One fold of a pile of cloth, its round edge to the right."""
    x = 70 + inset
    width = 260 - 2 * inset
    c.rect(x, y, width, height, c.volume(colour, 0.16), height / 2.4)
    c.line(f"M{x + 18} {y + height / 2}h{width - 44}", darken(colour, 0.2), 2.5)


def draw_blanket(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 330, 146)
    for index, y in enumerate((286, 248, 210)):
        draw_fold(c, darken(colour, 0.06 * (2 - index)), y, 44, index * 2)
    c.path("M78 148q122-20 246 0 12 8 10 30l-8 40q-120-14-248 0-12-16-10-40 0-22 10-30z", c.volume(colour, 0.16))
    c.path("M214 140q60 0 84 6l-6 180q-40 8-84 0z", c.volume(lighten(colour, 0.08), 0.16))
    c.path("M214 160q46-2 83 6l-1 14q-40-8-83-6zM211 262q46-2 83 6l-1 20q-40-8-82-6z", accent)
    for x in range(210, 292, 10):
        c.line(f"M{x} 328l-2 18", lighten(accent, 0.15), 4)


def draw_checked_blanket(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 334, 140)
    body = "M96 84q104-16 208 0l16 236q-120 20-240 0z"
    c.path(body, c.volume(colour, 0.14))
    with c.clipped(body):
        for x in (112, 176, 240, 304):
            c.rect(x - 16, 60, 26, 290, accent, opacity=0.45)
            c.rect(x + 20, 60, 4, 290, CREAM, opacity=0.8)
        for y in (104, 168, 232, 296):
            c.rect(60, y - 10, 290, 26, accent, opacity=0.45)
            c.rect(60, y + 26, 290, 4, CREAM, opacity=0.8)
        c.path("M196 60h150v300H220z", "#15201f", opacity=0.12)
    for x in range(84, 322, 12):
        c.line(f"M{x} 326l-2 20", darken(colour, 0.05), 4)
    c.line("M200 78l20 254", darken(colour, 0.35), 2.5)


def draw_sweater(c: Canvas, colour: str, accent: str) -> None:
    c.path(KNIT, "#1b2624", opacity=0.12)
    with c.moved(-5, -7):
        c.path(KNIT, c.volume(colour, 0.16))
        with c.clipped(KNIT):
            for x in range(126, 290, 12):
                c.line(f"M{x} 90v250", darken(colour, 0.12), 2.5)
            c.path(
                "M120 194l-16 96-10 40h-60l40-240zM280 194l16 96 10 40h60l-40-240z", darken(colour, 0.1), opacity=0.6
            )
            c.rect(110, 296, 180, 50, darken(colour, 0.12), opacity=0.8)
        c.line("M120 194v-40M280 194v-40", darken(colour, 0.28), 3)
        c.path("M158 84q0-40 10-46 32-10 64 0 10 6 10 46-42 30-84 0z", c.volume(lighten(colour, 0.05), 0.2))
        for x in range(170, 240, 10):
            c.line(f"M{x} 40v54", darken(colour, 0.16), 2)
        c.line("M158 66q42 20 84 0", darken(colour, 0.25), 3)
        c.rect(210, 298, 22, 14, accent, 2)


def draw_patterned_sweater(c: Canvas, colour: str, accent: str) -> None:
    c.path(KNIT, "#1b2624", opacity=0.12)
    with c.moved(-5, -7):
        c.path(KNIT, c.volume(colour, 0.16))
        with c.clipped(KNIT):
            c.path("M60 150q140 70 280 0v24q-140 70-280 0z", accent)
            for step in range(11):
                x = 74 + step * 25
                y = 184 - abs(step - 5) ** 2 * 1.3
                c.path(f"M{x} {y - 11}l11 11-11 11-11-11z", CREAM)
                c.circle(x, y, 3.5, accent)
                c.path(f"M{x + 12} {y - 44}l8 9-8 9-8-9z", accent)
                c.circle(x, y + 36, 4, CREAM)
            c.rect(110, 280, 180, 12, accent)
            c.rect(110, 298, 180, 50, darken(colour, 0.16))
            c.path("M40 240h66v14H40zM294 240h66v14h-66z", accent)
        c.line("M120 194v-30M280 194v-30", darken(colour, 0.28), 3)
        c.path("M162 78q38 26 76 0l6 14q-44 34-88 0z", c.volume(darken(colour, 0.14), 0.2))


def draw_beanie(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 318, 122)
    c.circle(200, 84, 34, c.volume(accent, 0.2))
    for x, y in ((184, 72), (206, 66), (216, 86), (192, 94)):
        c.line(f"M{x} {y}q5 5 9-2", darken(accent, 0.22), 3)
    body = "M92 246q-2-142 108-146 110 4 108 146z"
    c.path(body, c.volume(colour, 0.2))
    with c.clipped(body):
        for x in range(104, 306, 16):
            bend = (x - 200) * 0.5
            c.line(f"M{x} 250Q{200 + bend * 1.9} 150 {200 + bend * 0.3} 100", darken(colour, 0.16), 3)
    c.rect(80, 228, 240, 82, c.volume(lighten(colour, 0.07), 0.2), 22)
    for x in range(98, 310, 15):
        c.line(f"M{x} 240v58", darken(colour, 0.15), 3)
    c.rect(232, 252, 44, 32, LEATHER, 4)
    c.path("M254 257l9 12h-5l7 9h-22l7-9h-5z", CREAM)


def draw_mitten(c: Canvas, colour: str, accent: str) -> None:
    """The left one of a pair."""
    shape = "M100 300V170q-4-90 46-92 48 2 48 88v60q22-30 44-14 14 16-8 44-20 24-40 44z"
    c.path(shape, c.volume(colour, 0.2))
    with c.clipped(shape):
        for y in (150, 190, 230):
            for x in (112, 146, 180):
                c.path(f"M{x} {y - 13}l11 13-11 13-11-13z", accent, opacity=0.9)
        c.path("M150 232q40 0 44 68h-60z", LEATHER, opacity=0.9)
    c.rect(90, 282, 110, 54, c.volume(lighten(colour, 0.12), 0.2), 12)
    for x in range(102, 196, 12):
        c.line(f"M{x} 290v38", darken(colour, 0.16), 3)


def draw_mittens(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 342, 130)
    c.line("M122 320q80 60 156 0", darken(colour, 0.2), 4)
    with c.turned(9, 200, 200, 0.84), c.moved(62, -8, True):
        draw_mitten(c, darken(colour, 0.08), accent)
    with c.turned(-7, 200, 200, 0.88), c.moved(-58, 12):
        draw_mitten(c, colour, accent)


def draw_sock(c: Canvas, colour: str, accent: str) -> None:
    """One sock, its toe to the left."""
    shape = "M150 70h92v150q6 40-20 58l-86 46q-50 18-66-18-10-30 20-46l60-34z"
    c.path(shape, c.volume(colour, 0.2))
    with c.clipped(shape):
        c.path("M60 250l70 0 14 90H40z", accent)
        c.path("M250 216q-54 6-50 70l60 10z", accent)
        for y in (138, 154, 176):
            c.rect(140, y, 110, 8, accent, opacity=0.9)
    c.rect(144, 62, 104, 50, c.volume(lighten(colour, 0.1), 0.2), 8)
    for x in range(156, 244, 11):
        c.line(f"M{x} 68v38", darken(colour, 0.16), 3)


def draw_socks(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(190, 336, 130)
    with c.turned(8, 200, 200), c.moved(58, -4):
        draw_sock(c, darken(colour, 0.12), accent)
    with c.moved(-10, 6):
        draw_sock(c, colour, accent)


def draw_scarf(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 348, 90)
    c.path("M154 180q-14 70-22 158h64q2-90 16-150z", c.volume(darken(colour, 0.12), 0.2))
    c.path("M204 190q30 60 24 118h64q8-80-36-140z", c.volume(colour, 0.2))
    c.path("M90 128q10-66 110-68t110 68q8 76-110 82T90 128z", c.volume(colour, 0.2))
    c.path("M132 128q10-34 68-34t68 34q-12 30-68 30t-68-30z", darken(colour, 0.45))
    c.path("M96 150q60 60 208 4-10 60-104 62-92-6-104-66z", c.volume(lighten(colour, 0.08), 0.2))
    c.path("M186 166q40-2 62 20-10 28-46 26-34-12-16-46z", c.volume(darken(colour, 0.05), 0.2))
    c.line("M136 298l61 0M134 314l62 0M228 268l66 0M228 284l65 0", accent, 6)
    for x in (*range(136, 198, 9), *range(232, 294, 9)):
        y = 338 if x < 200 else 308
        c.line(f"M{x} {y}v16", lighten(colour, 0.1), 4)
    c.line("M112 168q80 50 180-2M106 138q6 20 20 32", darken(colour, 0.2), 2.5)


def draw_jacket(c: Canvas, colour: str, accent: str) -> None:
    shape = "M96 138q30-30 62-38h84q32 8 62 38 22 60 30 148l-44 10-18-92v132H128V204l-18 92-44-10q8-88 30-148z"
    c.path(shape, "#1b2624", opacity=0.12)
    with c.moved(-5, -6):
        c.path("M150 106q-8-62 50-66 58 4 50 66-50 30-100 0z", c.volume(darken(colour, 0.08), 0.2))
        c.path("M168 108q-6-42 32-44 38 2 32 44-32 22-64 0z", darken(colour, 0.5))
        c.path(shape, c.volume(colour, 0.18))
        c.line("M128 204v-44M272 204v-44", darken(colour, 0.28), 3)
        c.line("M200 116v220", darken(colour, 0.35), 5)
        c.line("M200 116v220", accent, 2)
        c.path("M144 102q56 32 112 0l8 10q-64 40-128 0z", darken(colour, 0.16))
        c.path("M140 236l44 10v54h-44zM260 236l-44 10v54h44z", c.volume(darken(colour, 0.07)))
        c.line("M140 236l44 10M260 236l-44 10", darken(colour, 0.35), 3)
        c.rect(190, 68, 8, 60, accent, 3)
        c.rect(206, 70, 8, 54, accent, 3)
        c.path("M230 164l9 13h-5l6 9h-20l6-9h-5z", accent)
        c.line("M130 322h140", darken(colour, 0.25), 3)
        c.circle(200, 130, 4, INK)
        c.circle(136, 322, 4, BRASS)
