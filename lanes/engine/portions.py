"""How a plan is divided into packs, by who trains them."""

import math

from lanes.engine.options import Options
from lanes.engine.requests import Plan
from lanes.plan import widths
from lanes.plan.packs import Portions

PACKS_EACH = 2  # packs of a place of a cluster at least, while there are groups: whoever is faster takes more


def portions(plan: Plan, options: Options) -> Portions:
    """How a plan is divided into packs.

    On a cluster the lanes of all programs together are divided, so that a thousand workers do not make a thousand packs of
    each of a hundred programs.
    """
    most = widths.most_lanes(plan.shapes, plan.places, options.pack_lanes)
    if options.elsewhere is None:
        return Portions(len(plan.places) * (options.shard[1] if options.shard else 1), most)
    count = options.elsewhere.count
    share = math.ceil(len(plan.planned) / (PACKS_EACH * count))
    return Portions(1, {signature: min(lanes, share) for signature, lanes in most.items()}, count)
