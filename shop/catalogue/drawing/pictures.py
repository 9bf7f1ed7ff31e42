"""Which picture a product has: its motif, two colours, and what stands behind it."""

from collections.abc import Callable
from typing import NamedTuple

from shop.catalogue.drawing import bags, camp, home, kitchen, light, tools, trail, wool
from shop.catalogue.drawing.canvas import BRASS, CREAM, DARK_WOOD, INK, IRON, LEATHER, OAK, ROPE, WOOD, Canvas
from shop.catalogue.drawing.grounds import draw_ground


class Picture(NamedTuple):
    """How one product is drawn. `mood` names the colours of the background, `kind` its shape."""

    draw: Callable[[Canvas, str, str], None]
    colour: str
    accent: str
    mood: str
    kind: str


PICTURES = {
    "TENT-SKARV-2": Picture(camp.draw_tunnel_tent, "#c2703d", "#f0d9a8", "mist", "hills"),
    "TENT-FJELL-3": Picture(camp.draw_dome_tent, "#3f6b73", "#e0b65c", "snow", "hills"),
    "TENT-HULDER-6": Picture(camp.draw_tipi, "#e8dcc2", "#a8573a", "lichen", "hills"),
    "TARP-LO": Picture(camp.draw_tarp, "#5f7d4e", "#e0a94a", "mist", "hills"),
    "HAMMOCK-SIG": Picture(camp.draw_hammock, "#c9553d", "#f3e3c3", "lichen", "hills"),
    "BAG-DUN": Picture(camp.draw_mummy_bag, "#34506b", "#d98a3d", "snow", "disc"),
    "BAG-SOMMER": Picture(camp.draw_quilt_bag, "#8ba888", "#e9c98b", "honey", "disc"),
    "MAT-MOSE": Picture(camp.draw_roll, "#6d8050", "#c98b4a", "sand", "table"),
    "CHAIR-ELV": Picture(camp.draw_folding_chair, "#3c5a54", OAK, "mist", "hills"),
    "STOOL-KVIST": Picture(camp.draw_tripod_stool, LEATHER, BRASS, "sand", "hills"),
    "KETTLE-SOT": Picture(kitchen.draw_kettle, "#2f4348", OAK, "honey", "table"),
    "KETTLE-KOBBER": Picture(kitchen.draw_kettle, "#c0713f", DARK_WOOD, "mist", "table"),
    "MUG-BIRCH": Picture(kitchen.draw_mug, "#f3ecdc", "#6b4a35", "lichen", "table"),
    "MUG-MIDNIGHT": Picture(kitchen.draw_mug, "#2f4666", "#e9e4d6", "clay", "table"),
    "MUG-KUKSA": Picture(kitchen.draw_kuksa, "#c39154", LEATHER, "mist", "table"),
    "POT-GRYTE": Picture(kitchen.draw_pot, "#3d4446", BRASS, "clay", "table"),
    "PAN-STEKE": Picture(kitchen.draw_pan, IRON, "#eeb03c", "sand", "disc"),
    "STOVE-GNIST": Picture(kitchen.draw_twig_stove, "#98a2a3", "#f08a3c", "dusk", "hills"),
    "FLASK-TUR": Picture(kitchen.draw_flask, "#3f5d4c", "#e7dfca", "clay", "table"),
    "BOTTLE-BEKK": Picture(kitchen.draw_bottle, "#8fb4be", "#f4f2ea", "sand", "table"),
    "CUTLERY-TRIO": Picture(kitchen.draw_cutlery, WOOD, BRASS, "lichen", "disc"),
    "PACK-VIDDE-55": Picture(bags.draw_trekking_pack, "#2f5f63", "#e2a94b", "lichen", "hills"),
    "PACK-STI-22": Picture(bags.draw_daypack, "#7d7a4c", CREAM, "mist", "wall"),
    "PACK-RULL-18": Picture(bags.draw_roll_top, "#35424a", "#d5793a", "sand", "wall"),
    "PACK-LITEN-8": Picture(bags.draw_small_pack, "#c98a4a", "#f0d79a", "mist", "hills"),
    "DUFFEL-HAVN-40": Picture(bags.draw_duffel, "#b5472f", INK, "dusk", "table"),
    "TOTE-TORG": Picture(bags.draw_tote, "#ece3cf", LEATHER, "lichen", "wall"),
    "DRYBAG-SJO-20": Picture(bags.draw_dry_bag, "#e0a23a", CREAM, "mist", "hills"),
    "BASKET-BAER": Picture(bags.draw_foraging_basket, "#c19a62", "#c4703a", "lichen", "hills"),
    "POUCH-LOMME": Picture(bags.draw_hip_pouch, "#4c6b5b", "#3a403c", "clay", "disc"),
    "KNIFE-ALM": Picture(tools.draw_belt_knife, "#b9854f", "#7c4c30", "mist", "disc"),
    "KNIFE-FOLK": Picture(tools.draw_folding_knife, "#cfa469", "#a8431f", "lichen", "disc"),
    "AXE-FURU": Picture(tools.draw_axe, "#c79a62", "#a8431f", "sand", "disc"),
    "AXE-KVIST": Picture(tools.draw_hatchet, "#b07c48", LEATHER, "mist", "disc"),
    "SAW-BUE": Picture(tools.draw_bow_saw, "#c08f58", "#b5472f", "honey", "table"),
    "STONE-SLIP": Picture(tools.draw_whetstone, "#8f9ea3", OAK, "clay", "table"),
    "SPADE-JORD": Picture(tools.draw_spade, "#c39a66", "#4f5f55", "lichen", "hills"),
    "ROPE-TAU": Picture(tools.draw_rope_coil, "#b8935a", "#a8431f", "dusk", "table"),
    "COMPASS-NORD": Picture(tools.draw_compass, BRASS, "#b5472f", "forest", "disc"),
    "LAMP-FYR": Picture(light.draw_lantern, "#a8432c", BRASS, "night", "hills"),
    "LAMP-STUE": Picture(light.draw_table_lamp, OAK, "#f3e6c9", "forest", "wall"),
    "LAMP-HODE": Picture(light.draw_head_torch, "#3a4648", "#d9843c", "night", "hills"),
    "TORCH-STRALE": Picture(light.draw_hand_torch, "#4c5557", "#d9a441", "night", "disc"),
    "CANDLE-GRAN": Picture(light.draw_jar_candle, "#7f9a77", "#3c5a46", "forest", "table"),
    "CANDLE-HAV": Picture(light.draw_sea_candle, "#a9c3cb", "#3d6477", "dusk", "table"),
    "CANDLE-STAV": Picture(light.draw_tapers, "#e6b355", "#39403f", "clay", "table"),
    "MATCH-LANG": Picture(light.draw_matchbox, "#3d6477", "#b5472f", "sand", "table"),
    "FIRE-STAL": Picture(light.draw_fire_steel, "#d8c6a3", "#a8431f", "night", "disc"),
    "FIREBOWL-BAL": Picture(light.draw_fire_bowl, "#8a4f33", "#6b3a25", "dusk", "hills"),
    "BLANKET-ULL": Picture(wool.draw_blanket, "#b9b3a6", "#5b6f63", "clay", "table"),
    "BLANKET-RUTE": Picture(wool.draw_checked_blanket, "#b4644a", "#5d3340", "sand", "disc"),
    "SWEATER-FISKER": Picture(wool.draw_sweater, "#3a5268", "#e6d9b8", "mist", "disc"),
    "SWEATER-FAGER": Picture(wool.draw_patterned_sweater, "#8c9284", "#2f4a41", "heather", "disc"),
    "BEANIE-TOPP": Picture(wool.draw_beanie, "#c4863c", "#f0e4cc", "mist", "table"),
    "MITT-VANTE": Picture(wool.draw_mittens, "#a5423a", "#f1e6d4", "snow", "disc"),
    "SOCK-TYKK": Picture(wool.draw_socks, "#d9d2c2", "#7d3f34", "lichen", "disc"),
    "SCARF-VIND": Picture(wool.draw_scarf, "#8a9aa6", "#f2efe6", "clay", "disc"),
    "JACKET-REGN": Picture(wool.draw_jacket, "#e0b03c", "#f7f0dc", "mist", "disc"),
    "BOOT-TIND": Picture(trail.draw_boots, "#8d5a35", "#d9b36a", "lichen", "hills"),
    "BOOT-MYR": Picture(trail.draw_rubber_boots, "#4d6b4c", "#d8c79c", "mist", "hills"),
    "SLIPPER-HEIM": Picture(trail.draw_slippers, "#8f98a0", LEATHER, "clay", "wall"),
    "POLE-GAA": Picture(trail.draw_poles, "#b5472f", INK, "snow", "hills"),
    "SNOWSHOE-SPOR": Picture(trail.draw_snowshoes, "#b98552", "#e9d7ae", "night", "disc"),
    "UMBRELLA-SKY": Picture(trail.draw_umbrella, "#35586b", OAK, "dusk", "disc"),
    "SLED-AKE": Picture(trail.draw_sled, "#c08a52", "#b5472f", "snow", "hills"),
    "BINO-ORN": Picture(trail.draw_binoculars, "#5d6e4c", LEATHER, "mist", "table"),
    "HAT-BREM": Picture(trail.draw_hat, "#6d6545", LEATHER, "lichen", "table"),
    "VASE-STRAND": Picture(home.draw_vase, "#a9c0c0", "#6f8a5e", "sand", "table"),
    "BOWL-DEIG": Picture(home.draw_bowl, "#efe8d8", "#3d6477", "clay", "table"),
    "BOARD-BROD": Picture(home.draw_board, OAK, "#f0d9b0", "mist", "disc"),
    "TEAPOT-KVELD": Picture(home.draw_teapot, "#6f8894", DARK_WOOD, "honey", "table"),
    "CUSHION-LYNG": Picture(home.draw_cushion, "#efe7db", "#8d5f85", "heather", "disc"),
    "CLOCK-TID": Picture(home.draw_clock, OAK, "#a8431f", "lichen", "disc"),
    "CHAIR-KROK": Picture(home.draw_lounge_chair, "#9a5a34", OAK, "mist", "wall"),
    "BASKET-VED": Picture(home.draw_log_basket, "#b58a55", ROPE, "clay", "wall"),
    "SOAP-TJAERE": Picture(home.draw_soap, "#5f4534", "#24423a", "mist", "table"),
    "PLANTER-URTE": Picture(home.draw_planter, "#bf7047", "#5f8850", "sand", "table"),
    "PRINT-FJORD": Picture(home.draw_print, "#3d6477", "#e0954e", "sand", "disc"),
}


def draw_picture(picture: Picture) -> str:
    """Return the SVG of a product."""
    canvas = Canvas()
    draw_ground(canvas, picture.mood, picture.kind)
    picture.draw(canvas, picture.colour, picture.accent)
    return canvas.render()
