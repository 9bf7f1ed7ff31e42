"""A square of 400 by 400 to draw on, with colours that know their own light and shade."""

from collections.abc import Iterator
from contextlib import contextmanager

INK = "#2b3532"
WOOD = "#b98a5a"
OAK = "#c9a06c"
DARK_WOOD = "#84593a"
LEATHER = "#96603c"
STEEL = "#b9c3c6"
IRON = "#4a5254"
BRASS = "#c79a4b"
CREAM = "#f4efe3"
ROPE = "#cdb98f"
FLAME = "#f2a93b"
GLASS = "#dfeaec"

#: Background and the shape on it, for each mood.
GROUNDS = {
    "sand": ("#efe7d8", "#e2d5bd"),
    "mist": ("#e1e9e8", "#cddbda"),
    "lichen": ("#e3e9da", "#cfdbc3"),
    "dusk": ("#dde2ea", "#c8d0dd"),
    "clay": ("#f2e1d5", "#e8cbb8"),
    "heather": ("#e9e0e7", "#d9c9d6"),
    "honey": ("#f5e9cd", "#ecd8a9"),
    "snow": ("#eceff0", "#d8e0e4"),
    "night": ("#33495a", "#3f5a6e"),
    "forest": ("#2f4a41", "#3b5b50"),
}


def mix(colour: str, other: str, share: float) -> str:
    """Mix a `share` (0 to 1) of `other` into `colour`; both as #rrggbb."""
    pairs = ((int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def darken(colour: str, share: float = 0.2) -> str:
    """The colour in shade."""
    return mix(colour, "#15201f", share)


def lighten(colour: str, share: float = 0.2) -> str:
    """The colour in light."""
    return mix(colour, "#ffffff", share)


class Canvas:
    """Collects shapes and turns them into one SVG. Light falls from the upper left."""

    def __init__(self, width: int = 400, height: int = 400) -> None:
        self.size = (width, height)
        self.defs: list[str] = []
        self.body: list[str] = []

    def volume(self, colour: str, strength: float = 0.16, angle: str = "across") -> str:
        """Return a fill that rounds a shape: lit on the left (or above, with `angle` "down"), shaded opposite."""
        name = f"v{len(self.defs)}"
        end = 'x2="0" y2="1"' if angle == "down" else 'x2="1" y2="0"'
        self.defs.append(
            f'<linearGradient id="{name}" x1="0" y1="0" {end}>'
            f'<stop stop-color="{lighten(colour, strength * 0.9)}"/><stop offset=".45" stop-color="{colour}"/>'
            f'<stop offset="1" stop-color="{darken(colour, strength * 1.5)}"/></linearGradient>'
        )
        return f"url(#{name})"

    def glow(self, cx: float, cy: float, r: float, colour: str, opacity: float = 0.8) -> None:
        """Draw light that fades outwards."""
        name = f"v{len(self.defs)}"
        self.defs.append(
            f'<radialGradient id="{name}"><stop stop-color="{colour}" stop-opacity="{opacity}"/>'
            f'<stop offset="1" stop-color="{colour}" stop-opacity="0"/></radialGradient>'
        )
        self.circle(cx, cy, r, f"url(#{name})")

    def path(self, d: str, fill: str = "none", stroke: str = "", width: float = 0, opacity: float = 1) -> None:
        """Draw a path, filled, stroked with round ends, or both."""
        self.body.append(f'<path d="{d}" fill="{fill}"{outline(stroke, width)}{fade(opacity)}/>')

    def line(self, d: str, stroke: str, width: float, opacity: float = 1) -> None:
        """Draw a path that is only a line."""
        self.path(d, "none", stroke, width, opacity)

    def rect(self, x: float, y: float, w: float, h: float, fill: str, r: float = 0, opacity: float = 1) -> None:
        """Draw a rectangle with corners of radius `r`."""
        corner = f' rx="{r}"' if r else ""
        self.body.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}"{corner} fill="{fill}"{fade(opacity)}/>')

    def circle(self, cx: float, cy: float, r: float, fill: str, stroke: str = "", width: float = 0) -> None:
        """Draw a circle."""
        self.body.append(f'<circle cx="{cx}" cy="{cy}" r="{r}" fill="{fill}"{outline(stroke, width)}/>')

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, fill: str, opacity: float = 1) -> None:
        """Draw an ellipse."""
        self.body.append(f'<ellipse cx="{cx}" cy="{cy}" rx="{rx}" ry="{ry}" fill="{fill}"{fade(opacity)}/>')

    def shadow(self, cx: float, cy: float, rx: float, ry: float = 12) -> None:
        """Let the thing stand on the ground."""
        self.ellipse(cx, cy, rx, ry, "#1b2624", 0.16)

    @contextmanager
    def clipped(self, d: str) -> Iterator[None]:
        """Keep what is drawn meanwhile inside the path `d`."""
        name = f"v{len(self.defs)}"
        self.defs.append(f'<clipPath id="{name}"><path d="{d}"/></clipPath>')
        self.body.append(f'<g clip-path="url(#{name})">')
        yield
        self.body.append("</g>")

    @contextmanager
    def turned(self, degrees: float, cx: float = 200, cy: float = 200, scale: float = 1) -> Iterator[None]:
        """Turn (and scale) what is drawn meanwhile about a point."""
        move = f"translate({cx} {cy}) rotate({degrees}) scale({scale}) translate({-cx} {-cy})"
        self.body.append(f'<g transform="{move}">')
        yield
        self.body.append("</g>")

    @contextmanager
    def moved(self, dx: float, dy: float, mirror: bool = False) -> Iterator[None]:
        """Move what is drawn meanwhile, mirrored about its own middle line if asked."""
        flip = " translate(400 0) scale(-1 1)" if mirror else ""
        self.body.append(f'<g transform="translate({dx} {dy}){flip}">')
        yield
        self.body.append("</g>")

    def render(self) -> str:
        """Return the whole SVG."""
        width, height = self.size
        defs = f"<defs>{''.join(self.defs)}</defs>" if self.defs else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
            f"{defs}{''.join(self.body)}</svg>\n"
        )


def outline(stroke: str, width: float) -> str:
    """The attributes of a stroke."""
    if not stroke:
        return ""
    return f' stroke="{stroke}" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round"'


def fade(opacity: float) -> str:
    """The attribute of transparency."""
    return f' opacity="{opacity}"' if opacity < 1 else ""
