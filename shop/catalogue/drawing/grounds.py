"""What stands behind a thing: hills for what goes outdoors, a table or a wall for what stays in."""

from shop.catalogue.drawing.canvas import GROUNDS, Canvas, darken, lighten, mix


def draw_ground(c: Canvas, mood: str, kind: str) -> None:
    """Draw the background: `kind` is hills, table, wall or disc."""
    base, shape = GROUNDS[mood]
    c.rect(0, 0, 400, 400, c.volume(base, 0.06, "down"))
    {"hills": draw_hills, "table": draw_table, "wall": draw_wall, "disc": draw_disc}[kind](c, base, shape)


def draw_hills(c: Canvas, base: str, shape: str) -> None:
    """A sun, two ridges and a meadow."""
    c.circle(292, 104, 42, lighten(base, 0.55))
    c.path("M0 262L62 196l40 34 66-84 62 78 44-36 66 58 60-40v200H0z", mix(base, shape, 0.6))
    c.path("M0 290q90-52 190-22t210-16v148H0z", shape)
    c.path("M0 322q120-30 220-14t180-6v98H0z", darken(shape, 0.07))


def draw_table(c: Canvas, base: str, shape: str) -> None:
    """A round window of light above a table's edge."""
    c.circle(200, 178, 142, light_of(base))
    c.rect(0, 298, 400, 102, shape)
    c.rect(0, 298, 400, 5, lighten(shape, 0.16))


def draw_wall(c: Canvas, base: str, shape: str) -> None:
    """An arched niche over the floor."""
    c.path("M70 400V196a130 130 0 0 1 260 0v204z", light_of(base))
    c.rect(0, 330, 400, 70, shape)
    c.rect(0, 330, 400, 4, lighten(shape, 0.16))


def draw_disc(c: Canvas, base: str, shape: str) -> None:
    """A calm disc, for what is laid out or hangs."""
    c.circle(200, 200, 156, mix(base, shape, 0.75))


def light_of(base: str) -> str:
    """The colour of a window or niche in a wall of this colour; at night there is little light."""
    return lighten(base, 0.42 if int(base[1:3], 16) > 0x80 else 0.1)
