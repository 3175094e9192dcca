"""Many machines fetch one image at once: a fluid model of who waits for what.

Flows share links max-min fairly, as TCP about does: an agent gets the least of what its port, its own speed (decoding,
its disk) and its share of its rack's uplink and of the origin allow. Time goes in steps; what is modelled is bandwidth, not
latency, loss or seeks.

    direct   every agent from the origin, which may be several servers behind one name (`origins`)
    proxy    a caching proxy in each rack; what it has of the image so far is passed on (nginx with slices; Squid passes a
             single transfer on as well)
    peers    the proxies fetch pieces from each other as well (Dragonfly's seed peers, one a rack)

Rates in bytes a second."""
import math
from dataclasses import dataclass, replace

import numpy

GBIT = 1e9 / 8


@dataclass(frozen=True)
class Site:
    agents: int
    image: float               # bytes on the wire
    rack: int = 40             # agents in one
    port: float = 10 * GBIT    # of an agent
    speed: float = 0.35e9      # at which an agent takes the image
    uplink: float = 50 * GBIT  # of a rack
    origin: float = 25 * GBIT  # of one server
    origins: int = 1
    proxy: float = 25 * GBIT   # of a rack's proxy
    spread: float = 10         # seconds between the first and the last agent's start
    way: str = "direct"


def shares(caps, counts, capacity):
    """The max-min fair rate of one flow of each class: `counts` flows that can take `caps` each, of `capacity` in all."""
    caps, counts = numpy.asarray(caps, float), numpy.asarray(counts, float)
    if (caps * counts).sum() <= capacity:
        return caps
    order = numpy.argsort(caps)
    left, flows = capacity, counts.sum()
    for index in order:
        level = left / flows
        if caps[index] >= level:
            return numpy.minimum(caps, level)
        left -= caps[index] * counts[index]
        flows -= counts[index]
    return caps


@dataclass(frozen=True)
class Outcome:
    median: float  # seconds that an agent takes, from its own start
    last: float    # from the first start to the last end
    ideal: float   # alone, on an idle network
    from_origin: float  # bytes


def simulate(site, step=None):
    """Runs until all have the image."""
    racks = math.ceil(site.agents / site.rack)
    rack_of = numpy.arange(site.agents) // site.rack
    # Racks are switched on together as often as not; starts are spread evenly, in an order that mixes racks.
    starts = numpy.linspace(0, site.spread, site.agents)[numpy.random.default_rng(1).permutation(site.agents)]
    alone = min(site.port, site.speed, site.uplink, site.origin)
    ideal = site.image / alone
    capacity = site.origin * site.origins
    step = step or max(ideal / 50, 0.002)
    received = numpy.zeros(site.agents)
    ends = numpy.full(site.agents, numpy.inf)
    cached = numpy.zeros(racks)  # bytes that a rack's proxy has
    wanted = numpy.zeros(racks, bool)
    new, from_origin, now = 0.0, 0.0, 0.0  # `new`: bytes of the image that any proxy has
    while not numpy.isfinite(ends).all():
        active = (starts <= now) & ~numpy.isfinite(ends)
        counts = numpy.bincount(rack_of[active], minlength=racks)
        cap = min(site.port, site.speed)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            if site.way == "direct":
                caps = numpy.minimum(cap, numpy.where(counts > 0, site.uplink / counts, 0))
                rates = shares(caps, counts, capacity)
                from_origin += (rates * counts).sum() * step
            else:
                rates = numpy.minimum(cap, numpy.where(counts > 0, site.proxy / counts, 0))
        if site.way != "direct":
            wanted |= counts > 0
            filling = wanted & (cached < site.image)
            number = filling.sum()
            if number:
                fill = shares([min(site.uplink, site.proxy)], [number], capacity)[0]
                pulled = fill * number
                if site.way == "peers":
                    # Pieces that one has, others need not fetch; who has more gives as fast as its uplink is.
                    givers = cached.sum() / site.image * site.uplink
                    pulled = min(capacity, min(site.uplink, site.proxy) * number)
                    fill = min(site.uplink, site.proxy, (pulled + givers) / number)
                    fetched = min(pulled * step, site.image - new)
                    new += fetched
                    from_origin += fetched
                else:
                    new = site.image
                    from_origin += pulled * step
                cached[filling] = numpy.minimum(numpy.minimum(cached[filling] + fill * step, site.image), max(new, 0))
        moved = numpy.where(active, rates[rack_of] * step, 0)
        if site.way != "direct":
            moved = numpy.minimum(moved, numpy.maximum(cached[rack_of] - received, 0))
        received += moved
        now += step
        ends[active & (received >= site.image * (1 - 1e-9))] = now
    took = ends - starts
    return Outcome(float(numpy.median(took)), float(ends.max()), ideal, from_origin)


def grid(base, sizes, ways):
    """[(agents, way, Outcome)]"""
    return [(agents, name, simulate(replace(base, agents=agents, **options)))
            for agents in sizes for name, options in ways.items()]
