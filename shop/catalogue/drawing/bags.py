"""Things to carry things in."""

from shop.catalogue.drawing.canvas import BRASS, CREAM, INK, LEATHER, WOOD, Canvas, darken, lighten


def draw_trekking_pack(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 342, 110)
    c.path("M116 150q-34 60-22 150l26 14z", darken(colour, 0.3))
    c.path("M284 150q34 60 22 150l-26 14z", darken(colour, 0.4))
    c.path("M118 128q0-26 28-30h108q28 4 28 30l8 188q0 22-26 24H136q-26-2-26-24z", c.volume(colour, 0.2))
    c.path("M110 118q4-52 60-58h60q56 6 60 58-90 40-180 0z", c.volume(darken(colour, 0.1), 0.2))
    c.path("M150 78q50-16 100 0-8 22-50 22t-50-22z", lighten(colour, 0.12))
    c.path("M136 214q64-22 128 0l6 96q-70 20-140 0z", c.volume(lighten(colour, 0.08), 0.16))
    c.line("M140 226q60-18 120 0", darken(colour, 0.35), 3)
    for x in (156, 236):
        c.rect(x, 116, 10, 104, accent, 2)
        c.rect(x - 4, 172, 18, 16, INK, 3)
    c.path("M104 262h-18q-10 30 4 62h18zM296 262h18q10 30-4 62h-18z", darken(colour, 0.2))
    c.rect(120, 330, 160, 16, accent, 8)
    c.line("M180 62q20-24 40 0", INK, 6)
    c.path("M190 268l10-18 10 18h-6l9 15h-26l9-15z", accent)


def draw_daypack(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 336, 100)
    c.path("M118 190q-26 60-12 116l18 8zM282 190q26 60 12 116l-18 8z", darken(colour, 0.35))
    c.line("M172 88q28-44 56 0", LEATHER, 9)
    c.path("M112 174q4-92 88-94 84 2 88 94l6 136q-2 24-28 26H134q-26-2-28-26z", c.volume(colour, 0.2))
    c.path("M112 174q4-92 88-94 84 2 88 94l2 22q-90 30-180 0z", darken(colour, 0.12))
    c.line("M112 192q88 28 176 0", darken(colour, 0.4), 2.5)
    c.path("M130 234h140l6 76q-74 16-152 0z", c.volume(lighten(colour, 0.1), 0.16))
    c.line("M132 246h136", darken(colour, 0.3), 2.5)
    for x in (152, 232):
        c.rect(x, 170, 16, 92, LEATHER, 4)
        c.rect(x - 3, 216, 22, 18, BRASS, 3)
        c.rect(x + 2, 220, 12, 10, LEATHER)
    c.rect(184, 128, 32, 24, accent, 3)
    c.path("M192 146l8-13 8 13z", darken(accent, 0.5))


def draw_roll_top(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 340, 96)
    c.path("M122 150q-24 70-10 160l18 10zM278 150q24 70 10 160l-18 10z", darken(colour, 0.35))
    c.path("M122 116h156l10 204q0 18-20 20H132q-20-2-20-20z", c.volume(colour, 0.2))
    c.rect(108, 74, 184, 26, c.volume(lighten(colour, 0.1), 0.22, "down"), 13)
    c.rect(112, 94, 176, 26, c.volume(colour, 0.22, "down"), 12)
    c.rect(190, 66, 20, 150, accent, 4)
    c.rect(184, 138, 32, 26, INK, 5)
    c.line("M190 151h20", lighten(INK, 0.4), 3)
    c.line("M128 232h144", darken(colour, 0.3), 3)
    c.path("M130 240h140l6 82q-76 14-152 0z", lighten(colour, 0.07), opacity=0.7)
    c.line("M112 108L92 150M288 108l20 42", accent, 8)
    c.rect(144, 262, 46, 28, accent, 3)


def draw_small_pack(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 326, 90)
    c.line("M178 112q22-34 44 0", accent, 9)
    c.path("M124 176q6-70 76-72 70 2 76 72l4 118q-2 28-28 30H148q-26-2-28-30z", c.volume(colour, 0.2))
    c.circle(146, 110, 20, darken(colour, 0.06))
    c.circle(254, 110, 20, darken(colour, 0.2))
    c.circle(146, 110, 10, accent)
    c.circle(254, 110, 10, darken(accent, 0.1))
    c.path("M138 236q62-16 124 0l4 60q-66 26-132 0z", c.volume(accent, 0.12))
    c.circle(172, 182, 7, INK)
    c.circle(228, 182, 7, INK)
    c.ellipse(200, 204, 22, 15, CREAM)
    c.ellipse(200, 199, 8, 5.5, INK)
    c.line("M200 204v6q-8 6-14 0M200 210q8 6 14 0", INK, 2.5)
    c.line("M142 246q58-14 116 0", darken(accent, 0.3), 3)
    c.rect(184, 262, 32, 20, CREAM, 3)


def draw_duffel(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 304, 150)
    c.line("M138 176q62-120 124 0", accent, 11)
    c.path("M74 176q126-26 252 0 24 12 24 58t-22 64q-128 14-256 0-22-18-22-64t24-58z", c.volume(colour, 0.2, "down"))
    c.ellipse(70, 236, 22, 58, darken(colour, 0.12))
    c.path("M330 178q24 14 24 58t-24 60q-16-20-16-60t16-58z", darken(colour, 0.28))
    c.line("M92 192q108-20 216 0", INK, 5)
    c.rect(286, 184, 24, 9, BRASS, 3)
    for x in (132, 246):
        c.path(f"M{x} 170h22l4 132h-30z", accent)
    c.rect(172, 220, 56, 40, CREAM, 4)
    c.path("M182 252l12-16 8 9 8-11 14 18z", darken(colour, 0.1))


def draw_tote(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 338, 108)
    c.line("M152 172Q150 56 200 56t48 116", darken(accent, 0.25), 11)
    c.path("M98 152h204l14 174q-116 18-232 0z", c.volume(colour, 0.14))
    c.line("M162 190Q156 76 200 76t38 114", accent, 11)
    c.line("M98 164h204", darken(colour, 0.2), 2.5)
    c.path("M84 326l4-40h224l4 40q-116 18-232 0z", c.volume(accent, 0.2))
    c.path("M200 196l20 28h-10l16 22h-12l14 20h-56l14-20h-12l16-22h-10z", darken(accent, 0.4))
    c.rect(195, 262, 10, 16, darken(accent, 0.4))
    for x in (162, 238):
        c.rect(x - 10, 176, 20, 28, accent, 3)
        c.circle(x, 190, 3.5, BRASS)


def draw_dry_bag(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 340, 88)
    c.line("M128 98q-20-44 72-46t72 46", INK, 8)
    body = "M128 124h144l8 190q0 26-80 26t-80-26z"
    c.path(body, c.volume(colour, 0.26))
    with c.clipped(body):
        c.path("M140 120q-10 110 0 220h18q-10-110 0-220z", "#ffffff", opacity=0.3)
        c.path("M110 280q22-16 45 0t45 0 45 0 45 0v70H110z", darken(colour, 0.18))
        c.path("M110 296q22-16 45 0t45 0 45 0 45 0", stroke="#ffffff", width=4, opacity=0.7)
    c.rect(122, 84, 156, 22, c.volume(darken(colour, 0.12), 0.26, "down"), 11)
    c.rect(124, 102, 152, 24, c.volume(colour, 0.24, "down"), 10)
    c.rect(182, 80, 36, 20, INK, 5)
    c.rect(166, 180, 68, 58, accent, 6)
    c.line("M180 196h40M180 209h40M180 222h24", darken(colour, 0.2), 4)


def draw_weave(c: Canvas, body: str, colour: str, top: int, bottom: int) -> None:
    """Cover a shape with wickerwork."""
    c.path(body, c.volume(colour, 0.2))
    with c.clipped(body):
        for row, y in enumerate(range(top, bottom, 16)):
            for x in range(60 + 14 * (row % 2), 340, 28):
                c.path(f"M{x} {y}q14-8 28 0v12q-14 8-28 0z", lighten(colour, 0.14), darken(colour, 0.28), 1.5)


def draw_foraging_basket(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 326, 126)
    c.line("M104 204Q110 66 200 66t96 138", darken(colour, 0.25), 13)
    c.line("M104 204Q110 66 200 66t96 138", lighten(colour, 0.1), 5)
    for x, y, r in ((150, 190, 34), (252, 192, 32), (200, 176, 40)):
        c.path(f"M{x - 9} {y}h18l5 44h-28z", CREAM)
        c.path(f"M{x - r} {y + 4}q0-{r} {r}-{r}t{r} {r}q-{r} 14-{2 * r} 0z", c.volume(accent, 0.2))
        c.ellipse(x - 8, y - 14, 7, 4, lighten(accent, 0.45), 0.8)
    draw_weave(c, "M84 206h232l-20 98q-6 20-34 22H138q-28-2-34-22z", colour, 214, 330)
    c.rect(76, 198, 248, 16, c.volume(darken(colour, 0.12), 0.2), 8)


def draw_hip_pouch(c: Canvas, colour: str, accent: str) -> None:
    c.shadow(200, 290, 120)
    c.line("M104 196Q30 180 38 110t162-44q154-24 162 44t-66 86", darken(accent, 0.1), 14)
    c.rect(178, 54, 46, 26, INK, 5)
    c.path("M96 178q104-24 208 0l6 62q-2 44-48 46H138q-46-2-48-46z", c.volume(colour, 0.2))
    c.path("M96 178q104-24 208 0l3 26q-106 24-214 0z", darken(colour, 0.14))
    c.line("M98 202q102 20 204 0", INK, 4)
    c.rect(276, 200, 10, 28, WOOD, 4)
    c.path("M130 232h140l-4 38q-66 12-132 0z", lighten(colour, 0.1))
    c.rect(182, 224, 36, 22, accent, 4)
    c.circle(200, 235, 4, BRASS)
