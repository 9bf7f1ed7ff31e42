"""The drawing of the shop's parts: places of the nodes, lines between them, and the figures that belong to each."""

from typing import Any, NamedTuple

from relay.consumer.registry import all_consumers

WIDTH, ROW, NODE_WIDTH, NODE_HEIGHT = 1150, 86, 150, 62
#: Consumers that leave gateway calls and messages to Celery's workers.
WITH_WORKERS = ("payments", "notifications")
#: Texts and symbols of the states: a state is never shown by colour alone.
STATES = {
    "up": ("up", "●"),
    "late": ("late", "▲"),
    "paused": ("paused", "❚❚"),
    "down": ("down", "■"),
    "unknown": ("unknown", "?"),
}


class Node(NamedTuple):
    """A part in the drawing. `x` and `y` are the middle of its box; `detail` is a short figure."""

    name: str
    x: float
    y: float
    state: str
    word: str
    symbol: str
    detail: str

    @property
    def left(self) -> float:
        """The box's left side."""
        return self.x - NODE_WIDTH / 2

    @property
    def right(self) -> float:
        """The box's right side."""
        return self.x + NODE_WIDTH / 2

    @property
    def top(self) -> float:
        """The box's upper side."""
        return self.y - NODE_HEIGHT / 2


class Edge(NamedTuple):
    """A line between two nodes, with a rate in events per second or ""."""

    x1: float
    y1: float
    x2: float
    y2: float
    rate: str

    @property
    def label(self) -> tuple[float, float]:
        """The place of the rate, near the end of the line, where lines from one node are apart."""
        share = 0.5 if self.y1 == self.y2 else 0.62
        return self.x1 + share * (self.x2 - self.x1), self.y1 + share * (self.y2 - self.y1) - 6


class Drawing(NamedTuple):
    """All nodes and edges, and the size of the drawing."""

    width: int
    height: int
    nodes: list[Node]
    edges: list[Edge]


def draw(now: dict[str, Any]) -> Drawing:
    """Return the drawing of a described sample."""
    consumers = [name for name in list_names() if name in (now["consumers"] or {})]
    height = ROW * max(len(consumers), 3)
    middle = height / 2
    nodes = {
        "web": _make_node(now, "web", 80, middle, ""),
        "outbox": _make_node(now, "outbox", 270, middle, _tell_outbox(now)),
        "relay": _make_node(now, "relay", 455, middle, _tell_shards(now)),
        "kafka": _make_node(now, "kafka", 660, middle, ""),
        "celery": _make_node(now, "celery", 1065, ROW * (_find_middle(consumers) + 0.5), _tell_work(now)),
    }
    for row, name in enumerate(consumers):
        nodes[name] = _make_node(now, name, 865, ROW * (row + 0.5), _tell_lag(now["consumers"][name]))
    rates = now["rates"]
    edges = [
        _make_edge(nodes, "web", "outbox", None),
        _make_edge(nodes, "outbox", "relay", None),
        _make_edge(nodes, "relay", "kafka", rates["published"]),
        *(_make_edge(nodes, "kafka", name, rates["consumers"].get(name, {}).get("applied")) for name in consumers),
        *(_make_edge(nodes, name, "celery", None) for name in consumers if name in WITH_WORKERS),
    ]
    return Drawing(WIDTH, int(height), list(nodes.values()), edges)


def _make_node(now: dict[str, Any], name: str, x: float, y: float, detail: str) -> Node:
    state = "unknown" if now["outdated"] else now["states"].get(name, "up")
    return Node(name, x, y, state, *STATES[state], detail)


def _make_edge(nodes: dict[str, Node], start: str, end: str, rate: float | None) -> Edge:
    text = "" if rate is None else f"{rate:.1f}/s"
    return Edge(nodes[start].right, nodes[start].y, nodes[end].left, nodes[end].y, text)


def list_names() -> list[str]:
    """Return the names of the consumers in the order of the settings. A sample's JSON does not keep their order."""
    return [consumer.name for consumer in all_consumers()]


def _find_middle(consumers: list[str]) -> float:
    """Return the row between the consumers whose work Celery does."""
    rows = [row for row, name in enumerate(consumers) if name in WITH_WORKERS]
    return sum(rows) / len(rows) if rows else 0.0


def _tell_work(now: dict[str, Any]) -> str:
    if now["waiting"] is None:
        return "unknown"
    return f"{now['waiting']['payments']:,} calls, {now['waiting']['messages']:,} mails"


def _tell_outbox(now: dict[str, Any]) -> str:
    return "unknown" if now["outbox"] is None else f"{now['outbox']['unpublished']:,} unpublished"


def _tell_shards(now: dict[str, Any]) -> str:
    if now["leases"] is None:
        return "unknown"
    return f"{sum(now['leases']['held'].values())} shards, {now['leases']['free']} free"


def _tell_lag(consumer: dict[str, Any]) -> str:
    return f"{consumer['lag']:,} waiting" + (f", {consumer['parked']:,} parked" if consumer["parked"] else "")
