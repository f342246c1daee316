"""The routes under /_fake by which a test sets the scene; README.md lists them."""

from . import runtime
from .hosting import Behaviour
from .plan import Plan

LONGEST_WAIT_SECONDS = 30


def answer(world, method, route, body):
    """The answer to a control request; a ValueError or TypeError says what is wrong with it."""
    handler = ROUTES.get((method, route))
    if handler is None:
        raise LookupError(f"there is no {method} /_fake/{route}")
    return handler(world, body)


def get_clock(world, _body):
    return {"now": world.clock.now(), "auto": world.clock.speed}


def move_clock(world, body):
    if "auto" in body:
        with world.lock:
            world.clock.run_at(float(body["auto"]))
    if "advance_seconds" in body:
        world.advance(float(body["advance_seconds"]))
    reached = {}
    if until := body.get("until"):
        timeout = until.get("timeout", LONGEST_WAIT_SECONDS)
        reached = {"reached": world.run_until(until["job"], until["status"], timeout)}
    return get_clock(world, None) | reached


def add_faults(world, body):
    known = {name for operations in world.operations.values() for name in operations} | set(runtime.OPERATIONS.values())
    for fault in body:
        if fault.get("op") not in known:
            raise ValueError(f"there is no operation {fault.get('op')!r} to fail")
    world.faults.add(body)
    return world.faults.list()


def clear_faults(world, _body):
    world.faults.clear()
    return []


def set_quotas(world, body):
    with world.lock:
        world.quotas.set(body)
    return {}


def set_images(world, body):
    with world.lock:
        world.images.update(body)
    return world.images


def plan_jobs(world, body):
    plans = [Plan(**entry) for entry in body]
    with world.lock:
        world.plans += plans
    return {}


def plan_endpoints(world, body):
    behaviours = [Behaviour(**entry) for entry in body]
    with world.lock:
        world.hosting.behaviours.update({behaviour.name: behaviour for behaviour in behaviours})
    return {}


def get_requests(world, _body):
    return world.requests


def clear_requests(world, _body):
    world.requests.clear()
    return []


def reset(world, _body):
    world.reset()
    return {}


ROUTES = {
    ("GET", "clock"): get_clock,
    ("POST", "clock"): move_clock,
    ("GET", "faults"): lambda world, _body: world.faults.list(),
    ("POST", "faults"): add_faults,
    ("DELETE", "faults"): clear_faults,
    ("POST", "quota"): set_quotas,
    ("POST", "images"): set_images,
    ("POST", "jobs"): plan_jobs,
    ("POST", "endpoints"): plan_endpoints,
    ("GET", "requests"): get_requests,
    ("DELETE", "requests"): clear_requests,
    ("POST", "reset"): reset,
}
