"""Find the faults of routes that Lua cannot see: unknown targets, loops, bad expressions. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.catalog import AUTO
from models.requests.endpoints import ENDPOINTS
from models.routing.rules import BadPattern, pattern_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.catalog import Catalog
    from models.spec import ModelSpec
    from utils.config.routes import ClassifyTable, RouteTable, RuleTable

_ENDPOINTS = tuple(endpoint.name for endpoint in ENDPOINTS)


def faults_of_routes(catalog: Catalog) -> list[str]:
    """Return every fault of the routes, each with its place in the file."""
    found = [fault for route in catalog.routes.values() for fault in _of_route(route, catalog)]
    found += [fault for model in catalog.models for fault in _of_fallback(model, catalog)]
    return found + [
        f"routes.{' -> '.join(loop)}: these routes lead to each other" for loop in _loops(catalog)
    ]


def targets_of(route: RouteTable) -> Iterator[tuple[str, str]]:
    """Yield each name that the route leads to, after its place."""
    place = f"routes.{route.name}"
    for key in ("to", "fallbacks"):
        yield from _listed(f"{place}.{key}", getattr(route, key))
    for index, rule in enumerate(route.rules, 1):
        yield from _listed(f"{place}.rules[{index}].to", rule.to)
        if rule.fallbacks != route.fallbacks:
            yield from _listed(f"{place}.rules[{index}].fallbacks", rule.fallbacks)
    if route.classify is not None:
        for label, names in route.classify.labels.items():
            yield from _listed(f"{place}.classify.labels.{label}", names)


def models_of(route: RouteTable, catalog: Catalog) -> list[ModelSpec]:
    """Return the models that the route may lead to, in the order of the configuration."""
    reached, ahead, every = {route.name}, [route], False
    while ahead:
        current = ahead.pop()
        every = every or not (current.to or current.classify is not None)
        for _, name in targets_of(current):
            every = every or (name == AUTO and not catalog.has_model(AUTO))
            if name in catalog.routes and name not in reached:
                ahead.append(catalog.routes[name])
            reached.add(name)
    names = {catalog.find(name).name for name in reached if catalog.has_model(name)}
    return [model for model in catalog.models if every or model.name in names]


def _listed(place: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(names, 1):
        yield f"{place}[{index}]", name


def _of_route(route: RouteTable, catalog: Catalog) -> Iterator[str]:
    place = f"routes.{route.name}"
    if catalog.has_model(route.name):
        yield f'{place}: "{route.name}" is already a name of a model'
    for where, name in targets_of(route):
        if name != AUTO and not catalog.may_have(name):
            yield f'{where}: no model or route has the name "{name}"'
    yield from _of_amounts(route)
    for index, rule in enumerate(route.rules, 1):
        yield from _of_rule(rule, f"{place}.rules[{index}]")
    if route.classify is not None:
        yield from _of_classify(route.classify, f"{place}.classify", catalog)


def _of_fallback(model: ModelSpec, catalog: Catalog) -> Iterator[str]:
    """Yield what answers in the model's place and is unknown, or the model itself."""
    for name in model.fallback:
        if not catalog.may_have(name):
            said = f'no model or route has the name "{name}"'
        elif catalog.has_model(name) and catalog.find(name) is model:
            said = "it cannot answer in its own place"
        else:
            continue
        yield f'models: fallback of "{model.name}": {said}'


def _of_rule(rule: RuleTable, place: str) -> Iterator[str]:
    for position, name in enumerate(rule.endpoints, 1):
        if name not in _ENDPOINTS:
            known = ", ".join(_ENDPOINTS)
            yield f'{place}.endpoints[{position}]: no endpoint "{name}"; known: {known}'
    if rule.max_tokens is not None and rule.max_tokens < rule.min_tokens:
        yield f"{place}.max_tokens: less than min_tokens"
    if rule.matches is not None:
        try:
            pattern_of(rule.matches)
        except BadPattern as error:
            yield f"{place}.matches: no regular expression of RE2: {error}"


def _of_amounts(route: RouteTable) -> Iterator[str]:
    """Yield the limits and weights of what the route does not lead to."""
    known = {*route.to, *(name for rule in route.rules for name in rule.to)}
    place = f"routes.{route.name}"
    for key in ("limits", "weights"):
        own = getattr(route, key)
        yield from (f'{place}.{key}: nothing in it leads to "{n}"' for n in own if n not in known)
        for index, rule in enumerate(route.rules, 1):
            amounts = getattr(rule, key)
            unknown = [n for n in amounts if n not in rule.to and amounts != own]
            where = f"{place}.rules[{index}].{key}"
            yield from (f'{where}: "{name}" is not in its to' for name in unknown)


def _of_classify(classify: ClassifyTable, place: str, catalog: Catalog) -> Iterator[str]:
    route = classify.model in catalog.routes or not catalog.may_have(classify.model)
    if route and not catalog.has_model(classify.model):
        yield f'{place}.model: no model has the name "{classify.model}"'
    if classify.default not in classify.labels:
        yield f'{place}.default: "{classify.default}" is not one of the labels'


def _loops(catalog: Catalog) -> Iterator[tuple[str, ...]]:
    """Yield loops among the routes, from a route of each back to that; none if there is none."""
    leads = {
        name: list(dict.fromkeys(to for _, to in targets_of(route) if to in catalog.routes))
        for name, route in catalog.routes.items()
    }
    done: set[str] = set()

    def walk(path: list[str]) -> Iterator[tuple[str, ...]]:
        for following in leads[path[-1]]:
            if following in path:
                yield (*path[path.index(following) :], following)
            elif following not in done:
                yield from walk([*path, following])
        done.add(path[-1])

    for name in leads:
        if name not in done:
            yield from walk([name])
