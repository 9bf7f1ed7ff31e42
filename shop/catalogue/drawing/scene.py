"""The wide picture of the front page: a fjord before anyone is up, with a tent that already glows."""

from math import sin

from shop.catalogue.drawing.canvas import Canvas, darken, lighten, mix

WIDTH, HEIGHT = 1600, 720
SHORE = 520


def draw_scene() -> str:
    """Return the SVG of the scene, 1600 by 720. The upper left is kept calm and dark for words."""
    c = Canvas(WIDTH, HEIGHT)
    draw_sky(c)
    for index, (base, height, colour) in enumerate(
        [(430, 190, "#7fa0aa"), (462, 210, "#5c8290"), (500, 150, "#456b7a"), (522, 90, "#34586a")]
    ):
        c.path(ridge(base, height, index), colour)
    draw_snow(c)
    draw_water(c)
    for index in range(26):
        x = 980 + index * 26 + 14 * sin(index * 5.1)
        draw_pine(c, x, 604 - 18 * sin(index / 3), 70 + 26 * sin(index * 2.7), "#234a4a")
    c.path(f"M0 {HEIGHT}V640q160-52 380-34t420 30 340-54 460-20V{HEIGHT}z", "#1c3a37")
    draw_camp(c, 1180, 600)
    for index in range(15):
        left = index % 2 == 0
        x = (index * 13 if left else WIDTH - index * 22) + 16 * sin(index * 3.3)
        draw_pine(c, x, 720 - index % 3 * 10, 150 + 60 * sin(index * 1.9) ** 2, "#12292a" if index % 3 else "#173331")
    return c.render()


def draw_sky(c: Canvas) -> None:
    """Night above, morning below, and the sun behind the last ridge."""
    c.defs.append(
        '<linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop stop-color="#1f3f52"/>'
        '<stop offset=".42" stop-color="#4a7483"/><stop offset=".62" stop-color="#c9a98c"/>'
        '<stop offset=".74" stop-color="#f3c795"/></linearGradient>'
    )
    c.rect(0, 0, WIDTH, HEIGHT, "url(#sky)")
    c.glow(1120, 400, 520, "#ffd9a0", 0.75)
    c.circle(1120, 372, 62, "#fff0cf")
    for x, y, w in ((820, 150, 220), (1250, 110, 260), (1050, 210, 150), (520, 96, 180), (1420, 236, 170)):
        c.rect(x, y, w, 10, "#ffffff", 5, 0.18)
        c.rect(x + w * 0.2, y + 14, w * 0.5, 7, "#ffffff", 3, 0.12)


def ridge(base: int, height: int, seed: int) -> str:
    """A line of peaks that goes down to the water."""
    points = []
    for x in range(0, WIDTH + 1, 40):
        wave = sin(x / (150 + 30 * seed) + seed * 2.1) + 0.5 * sin(x / 61 + seed * 4.7) + 0.3 * sin(x / 23 + seed)
        points.append(f"L{x} {base - height * (0.42 + 0.3 * wave):.0f}")
    return f"M0 {SHORE + 20}{''.join(points)}L{WIDTH} {SHORE + 20}z"


def draw_snow(c: Canvas) -> None:
    """One mountain above the others, white on its sunny side."""
    c.path(f"M560 {SHORE}L742 300l30 34 26-50 62 76 40-22L1010 {SHORE}z", "#4d7382")
    c.path("M742 300l30 34 26-50 62 76-26 12-24-26-22 30-22-34-30 40-36-8z", "#e8eef0")
    c.path("M798 284l62 76-26 12-24-26-14 20z", mix("#e8eef0", "#f3c795", 0.5))


def draw_water(c: Canvas) -> None:
    """The fjord, with the sun's road on it."""
    c.rect(0, SHORE, WIDTH, HEIGHT - SHORE, c.volume("#4d7a8a", 0.2, "down"))
    for step in range(12):
        y = SHORE + 6 + step * 9
        w = 210 - step * 9 + 30 * sin(step * 2.2)
        c.rect(round(1120 - w / 2 + 14 * sin(step * 1.7)), y, round(w), 4, "#ffe3b5", 2, 0.7)
    for step in range(16):
        x = (step * 257) % 1500
        c.rect(x, SHORE + 10 + (step * 31) % 90, 90 + (step * 37) % 120, 3, "#d8e8ea", 1.5, 0.28)


def draw_pine(c: Canvas, x: float, y: float, size: float, colour: str) -> None:
    """A spruce that stands on (x, y), `size` high."""
    x, y = round(x), round(y)
    half = size * 0.26
    tiers = "".join(
        f"M{x} {y - size * top:.0f}l{half * wide:.0f} {size * 0.36:.0f}h{-2 * half * wide:.0f}z"
        for top, wide in ((1, 0.5), (0.78, 0.76), (0.52, 1))
    )
    c.path(f"{tiers}M{x - 3} {y - size * 0.18:.0f}h6V{y}h-6z", colour)


def draw_camp(c: Canvas, x: int, y: int) -> None:
    """A lit tent and a thread of smoke."""
    c.glow(x, y - 10, 190, "#ffcf85", 0.6)
    c.path(f"M{x} {y - 104}L{x + 112} {y + 8}H{x - 112}z", "#d98d4a")
    c.path(f"M{x} {y - 104}L{x + 112} {y + 8}H{x + 34}z", darken("#d98d4a", 0.25))
    c.path(f"M{x} {y - 104}L{x + 34} {y + 8}H{x - 44}z", lighten("#f0b86a", 0.1))
    c.path(f"M{x - 4} {y - 70}L{x + 14} {y + 8}H{x - 26}z", "#fff1c9")
    c.line(f"M{x} {y - 104}l-8-14M{x} {y - 104}l8-14", "#3c2c22", 4)
    c.line(f"M{x + 112} {y + 8}l26 8M{x - 112} {y + 8}l-26 8", "#e9d9b8", 2)
    c.circle(x - 150, y + 12, 7, "#ffb454")
    c.glow(x - 150, y + 8, 60, "#ffb454", 0.8)
    c.line(f"M{x - 150} {y}q-14-30 4-56t-2-60", "#ffffff", 4, 0.3)
