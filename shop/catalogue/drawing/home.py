"""Things for the evenings after."""

from shop.catalogue.drawing.canvas import CREAM, DARK_WOOD, INK, LEATHER, OAK, STEEL, Canvas, darken, lighten, mix


def draw_vase(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 340, 92)
    c.line("M202 190Q196 110 234 44M204 150q-24-34-54-44M212 108q26-10 44-34", DARK_WOOD, 5)
    for x, y, turn in (
        (234, 48, 20),
        (152, 106, -50),
        (256, 76, 50),
        (176, 120, -20),
        (224, 84, 60),
        (206, 132, 70),
        (242, 64, -30),
    ):
        with c.turned(turn, x, y):
            c.path(f"M{x} {y + 14}q-15-16 0-34 15 18 0 34z", accent)
            c.line(f"M{x} {y + 12}v-24", darken(accent, 0.25), 1.5)
    body = "M178 176h44q-2 22 30 46 34 34 16 82-10 34-68 36-58-2-68-36-18-48 16-82 32-24 30-46z"
    c.path(body, c.volume(colour, 0.2))
    with c.clipped(body):
        c.path("M110 266q24-14 48 0t48 0 48 0 48 0v90H110z", mix(colour, "#8a6a4c", 0.5))
        c.path("M110 266q24-14 48 0t48 0 48 0 48 0", stroke=lighten(colour, 0.4), width=5)
        c.path("M158 226q-26 30-16 80h16q-8-46 16-84z", "#ffffff", opacity=0.4)
    c.ellipse(200, 176, 25, 7, darken(colour, 0.4))


def draw_bowl(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 326, 112)
    c.line("M248 186L322 76", OAK, 15)
    c.ellipse(330, 64, 24, 15, c.volume(OAK))
    body = "M70 186q8 118 90 136h80q82-18 90-136z"
    c.path(body, c.volume(colour, 0.2))
    with c.clipped(body):
        c.rect(60, 226, 290, 9, accent)
        c.rect(60, 242, 290, 4, accent)
        c.rect(60, 306, 290, 30, mix(colour, "#a37a55", 0.6))
        c.path("M92 190q6 84 60 130h18Q112 270 110 190z", "#ffffff", opacity=0.45)
    c.ellipse(200, 186, 131, 30, lighten(colour, 0.3))
    c.ellipse(200, 188, 118, 24, darken(colour, 0.22))
    c.path("M98 194q30-34 72-20 40-26 74 0 44-4 58 20-40 18-102 18t-102-18z", "#f3e6cb")
    c.line("M236 196L262 160", OAK, 14)


def draw_board(c: Canvas, colour: str, accent: str) -> None:
    with c.turned(-12, 200, 200):
        c.rect(104, 112, 204, 242, "#1b2624", 20, 0.13)
        shape = "M116 106h54v-48q4-26 30-26t30 26v48h54q18 2 18 20v200q-2 20-20 20H118q-20-2-20-20V126q2-18 18-20z"
        c.path(shape, c.volume(colour, 0.16))
        with c.clipped(shape):
            for index, x in enumerate(range(98, 302, 29)):
                c.rect(x, 30, 29, 330, (darken, lighten)[index % 2](colour, 0.07), opacity=0.6)
                c.line(f"M{x + 12} {120 + index * 9}q8 60-2 150", darken(colour, 0.18), 2)
        c.circle(200, 66, 12, darken(colour, 0.55))
        c.path("M120 128h160v196H120z", stroke=darken(colour, 0.22), width=5)
    c.path("M120 262q-6-58 62-66 74-8 86 38 8 44-34 56-100 24-114-28z", c.volume("#b5763f", 0.24))
    c.path("M120 262q-6-58 62-66 74-8 86 38-60-30-148 28z", lighten("#b5763f", 0.16))
    c.line("M164 204l14 34M196 198l14 34M228 202l12 30", accent, 6)


def draw_teapot(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 324, 110)
    c.line("M120 184Q112 70 200 68t80 116", accent, 11)
    c.line("M120 184Q112 70 200 68t80 116", lighten(accent, 0.25), 4)
    c.path("M284 236q40-14 48-56l22 8q-8 74-66 96z", c.volume(darken(colour, 0.04)))
    body = "M92 238q4-62 108-64 104 2 108 64 0 78-64 86H156q-64-8-64-86z"
    c.path(body, c.volume(colour, 0.22))
    with c.clipped(body):
        c.rect(80, 262, 240, 70, mix(colour, "#8d6b4b", 0.4))
        c.path("M80 262q20-12 40 0t40 0 40 0 40 0 40 0 40 0", stroke=lighten(colour, 0.3), width=5)
        c.path("M118 214q-20 40 4 90h18q-24-50-4-96z", "#ffffff", opacity=0.4)
    c.path("M148 184q4-22 52-24 48 2 52 24-52 16-104 0z", c.volume(lighten(colour, 0.06)))
    c.circle(200, 154, 12, c.volume(accent))
    c.circle(122, 186, 8, darken(colour, 0.3))
    c.circle(278, 186, 8, darken(colour, 0.3))


def draw_cushion(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 332, 136)
    with c.turned(-5, 200, 200):
        c.path(
            "M74 84q126 26 252 0 16 0 14 18-22 100 0 202 2 20-18 20-122-26-244 0-20 0-18-20 22-102 0-202-2-18 14-18z",
            c.volume(colour, 0.16),
        )
        c.line("M88 96q112 20 224 0M88 312q112-22 224 0", lighten(colour, 0.25), 2.5)
        for x, y in ((150, 160), (200, 150), (250, 162), (174, 206), (228, 208), (150, 250), (202, 256), (252, 248)):
            c.line(f"M{x} {y + 16}q-2-20 0-34", accent, 3)
            for k in (-8, 0, 8):
                c.circle(x - 6, y + k, 4, lighten(accent, 0.2))
                c.circle(x + 6, y + k - 4, 4, accent)
        for x in (140, 200, 260):
            c.circle(x, 301, 8, c.volume(OAK))
        c.path("M74 84q40 20 60 60-40-10-52-40zM326 84q-40 20-60 60 40-10 52-40z", darken(colour, 0.12), opacity=0.6)


def draw_clock(c: Canvas, colour: str, accent: str) -> None:
    c.circle(206, 212, 134, "#1b2624")
    c.body[-1] = c.body[-1].replace("/>", ' opacity=".14"/>')
    c.circle(200, 200, 134, c.volume(colour, 0.24))
    c.circle(200, 200, 112, c.volume(CREAM, 0.06))
    for hour in range(60):
        with c.turned(hour * 6):
            if hour % 5 == 0:
                c.rect(197, 98, 6, 20, INK, 3)
            else:
                c.rect(199, 98, 2, 7, darken(CREAM, 0.4))
    with c.turned(-52):
        c.rect(195, 132, 10, 78, INK, 5)
    with c.turned(54):
        c.rect(197, 106, 6, 104, INK, 3)
    with c.turned(160):
        c.rect(199, 108, 2.5, 116, accent, 1)
    c.circle(200, 200, 9, accent)
    c.path("M104 150q24-58 86-68-52 20-72 74z", "#ffffff", opacity=0.5)


def draw_lounge_chair(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(206, 342, 140)
    c.line("M112 236L92 336M312 250l14 86", darken(accent, 0.35), 13)
    c.path(
        "M92 72q14-10 30 4 16 90 40 142 50 30 148 14 20 2 18 20-4 20-20 22-110 18-172-12-34-80-52-174-2-12 8-16z",
        c.volume(colour, 0.22),
    )
    c.path("M92 72q14-10 30 4 16 90 40 142-22-4-26 20Q104 160 84 88q-2-12 8-16z", lighten(colour, 0.14))
    c.line("M106 88q18 90 44 150M170 234q60 20 138 8", darken(colour, 0.28), 3)
    c.path("M100 176q110-14 196-6 14 4 12 16t-16 12q-90-6-186 6-16 0-18-12t12-16z", c.volume(accent, 0.24))
    c.line("M280 196l26 146M140 202l-8 140", accent, 14)
    c.line("M134 312h170", darken(accent, 0.15), 9)
    c.path("M92 66q4-22 24-18 22 2 26 40 0 16-18 16-20 2-26-14z", c.volume(lighten(colour, 0.1)))
    c.line("M108 62q14 6 20 32", darken(colour, 0.25), 2.5)


def draw_log_basket(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 334, 136)
    for x, y, r in ((142, 150, 38), (222, 136, 42), (280, 168, 32), (186, 184, 34), (116, 190, 28), (244, 194, 30)):
        c.circle(x, y, r, c.volume("#efe7da", 0.2), INK, 2)
        c.circle(x, y, r - 6, "#e0bd8b")
        for step in (0.72, 0.48, 0.24):
            c.circle(x, y, round((r - 6) * step, 1), "none", "#c49a63", 2)
        c.line(f"M{x - r + 2} {y - 6}h5M{x + r - 8} {y + 8}h6", INK, 3)
    body = "M72 198h256l-26 116q-6 18-30 20H128q-24-2-30-20z"
    c.path(body, c.volume(colour, 0.22))
    with c.clipped(body):
        for x in range(60, 350, 36):
            for row, y in enumerate((200, 234, 268, 302)):
                if (x // 36 + row) % 2:
                    c.rect(x, y, 36, 34, darken(colour, 0.18), opacity=0.75)
        for y in (234, 268, 302):
            c.line(f"M60 {y}h290", darken(colour, 0.35), 2)
    c.rect(64, 190, 272, 18, c.volume(darken(colour, 0.14)), 9)
    for x in (96, 272):
        c.line(f"M{x} 200q16 62 32 0", accent, 9)


def draw_soap(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 314, 132)
    c.path("M82 272l36-38h226l-34 38z", lighten(OAK, 0.12))
    c.rect(82, 272, 228, 20, c.volume(OAK), 3)
    c.path("M310 272l34-38v20l-34 38z", darken(OAK, 0.3))
    c.path("M106 188l40-42h180l-38 42z", lighten(colour, 0.24))
    c.path("M106 188h182v66q-2 6-8 6H112q-6 0-6-6z", c.volume(colour, 0.2))
    c.path("M288 188l38-42v66l-38 46z", darken(colour, 0.3))
    c.rect(146, 188, 92, 72, CREAM)
    c.path("M146 188l40-42h92l-40 42z", lighten(CREAM, 0.4))
    c.path("M192 198l15 20h-8l12 16h-38l12-16h-8z", accent)
    c.rect(189, 234, 6, 10, accent)
    for x, y, r in ((86, 148, 16), (112, 110, 10), (72, 112, 7), (316, 112, 12), (338, 140, 7), (300, 84, 6)):
        c.circle(x, y, r, "#ffffff")
        c.circle(x, y, r - 2.5, lighten(STEEL, 0.6))
        c.circle(x - r / 3, y - r / 3, r / 4, "#ffffff")


def draw_planter(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 340, 108)
    for x, top, lean in ((150, 96, -22), (182, 64, -8), (214, 56, 10), (246, 92, 24), (200, 104, 2)):
        c.line(f"M{200 + (x - 200) * 0.7} 210Q{x} 150 {x + lean} {top}", darken(accent, 0.2), 4)
        for step in range(5):
            share = step / 5
            px, py = x + lean * (1 - share), top + (176 - top) * share * 0.9
            c.ellipse(round(px - 13), round(py + 8), 13, 6.5, accent)
            c.ellipse(round(px + 13), round(py), 13, 6.5, lighten(accent, 0.14))
    c.line("M130 206Q112 150 96 132M270 206q20-50 36-66", lighten(accent, 0.1), 4)
    c.path("M112 216h176l-22 104H134z", c.volume(colour, 0.22))
    c.rect(100, 194, 200, 32, c.volume(lighten(colour, 0.06), 0.22), 6)
    c.line("M108 230h184", darken(colour, 0.25), 3)
    c.path("M104 318h192q6 0 4 8-4 16-20 16H120q-16 0-20-16-2-8 4-8z", c.volume(darken(colour, 0.06), 0.24))
    c.rect(166, 250, 68, 34, CREAM, 3)
    c.line("M178 262h44M178 272h28", INK, 3)


def draw_print(c: Canvas, colour: str, accent: str) -> None:
    c.rect(94, 60, 224, 290, "#1b2624", 4, 0.14)
    c.rect(86, 48, 224, 290, c.volume(OAK, 0.16), 4)
    c.rect(98, 60, 200, 266, CREAM)
    c.rect(118, 80, 160, 200, lighten(accent, 0.45))
    with c.clipped("M118 80h160v200H118z"):
        c.circle(232, 130, 22, accent)
        c.path("M118 210l44-80 34 50 26-36 56 76v30H118z", mix(colour, "#ffffff", 0.35))
        c.path("M118 226l60-60 44 54 56-38v60H118z", colour)
        c.rect(118, 232, 160, 50, mix(colour, "#ffffff", 0.6))
        c.line("M132 246h50M200 256h64M150 268h80", CREAM, 4)
        c.path("M132 282l16-56 16 56zM160 282l12-40 12 40z", darken(colour, 0.4))
        c.path("M216 240h36l-8 9h-20z", LEATHER)
        c.path("M234 236v-26l16 24z", CREAM)
    c.line("M124 300h26M262 300h14", darken(CREAM, 0.45), 2.5)
    c.line("M198 48V30", INK, 2)
