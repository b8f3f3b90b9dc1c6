"""Decide which models may answer a request that names a route, or no model. Pure.

1. A route's first rule whose conditions all hold gives the targets; else the label that a small
   model chose; else the route's ``to``; without that, every model.
2. Targets that are routes are decided the same way. A route that is met again on its own way gives
   nothing, so every decision ends.
3. Models that cannot do what the request needs are left out. So are those whose largest context is
   too small for the estimated prompt, and those without the voice that it names, if others are not.
4. The picker of the rule orders what is left. Its fallbacks follow.
5. If nothing is left, the refusal names what is missing, and the models that have it.

A request that names a model with a ``fallback`` goes to that model first, whatever it can do.
Without a route, all models are ordered: by certainty that they can do it; this machine's first;
what is loaded, then what loads; the default model; those that can do little else; the order of the
configuration. The default model comes first if the request names nothing at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from models.capabilities import NAMES
from models.catalog import AUTO
from models.routing.check import models_of
from models.routing.pick import Candidate, ordered, soonest
from models.routing.rules import holds
from utils.errors import NotCapable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.routing.asked import Asked
    from models.routing.book import RouteBook
    from models.routing.pick import Running
    from models.spec import ModelSpec
    from utils.config.routes import ClassifyTable, PickTable, RouteTable


class Decision(NamedTuple):
    """The models to ask, best first, and why.

    ``standby``: the request names the first one; the others answer only if it cannot be loaded.
    """

    route: str
    models: tuple[str, ...]
    reason: str
    standby: bool = False

    def header(self, tried: Iterable[str] = ()) -> str:
        """Return the value of ``X-Gateway-Route``, after the models in ``tried`` have failed."""
        failed = tuple(tried)
        left = [name for name in self.models if name not in failed]
        told = f"{self.route} -> {left[0] if left else '-'}; {self.reason}"
        return told + (f"; failed={','.join(failed)}" if failed else "")


class Question(NamedTuple):
    """The route that a small model must choose a label for, before there is a decision."""

    route: str
    classify: ClassifyTable


class _Ask(Exception):
    def __init__(self, question: Question) -> None:
        super().__init__(question.route)
        self.question = question


class _Targets(NamedTuple):
    names: tuple[str, ...] | None
    table: PickTable
    reason: str


def decide(
    book: RouteBook,
    running: Running,
    name: str | None,
    asked: Asked,
    labels: Mapping[str, str],
) -> Decision | Question:
    """Return the models for a request that names a route, ``auto`` or nothing (None).

    ``labels`` are those that small models have chosen, by route. Raises NotCapable if no model can
    do what the request needs.
    """
    deciding = _Deciding(book, running, asked, labels)
    try:
        if name is not None and name in book.catalog.shared and name not in book.catalog.routes:
            route, found = name, deciding.shared(name)
            reason = "stays" if found[:1] == (asked.stays,) else "soonest"
        elif name is not None and book.stands_in(name):
            return Decision(name, deciding.named(name), "fallback", standby=True)
        elif name is None or name not in book.catalog.routes:
            route, reason = AUTO, deciding.why_auto()
            found = deciding.every(named=name is not None)
        else:
            route = name
            found, reason = deciding.routed(book.catalog.routes[name])
    except _Ask as ask:
        return ask.question
    if not found:
        raise _refusal(book, asked, route)
    return Decision(route, found, reason)


class _Deciding:
    """One decision."""

    def __init__(
        self, book: RouteBook, running: Running, asked: Asked, labels: Mapping[str, str]
    ) -> None:
        self._book = book
        self._running = running
        self._asked = asked
        self._labels = labels
        # What the routes met so far stand for; nothing while that is being decided.
        self._found: dict[str, tuple[str, ...]] = {}

    def why_auto(self) -> str:
        """Return what the request needs."""
        return f"needs={'+'.join(_sorted(self._asked.needs)) or 'nothing'}"

    def every(self, *, named: bool = True) -> tuple[str, ...]:
        """Return all models that may answer, best first; the default one, if ``named`` is false."""
        book, asked = self._book, self._asked
        default = book.catalog.default

        def rank(model: ModelSpec) -> tuple[bool, bool, bool, int, bool, int]:
            able = book.able[model.name].certain
            is_default = model.name == default
            return (
                not (is_default and not named),
                not asked.needs <= able,
                model.name in book.elsewhere,
                self._running.seen(model.name).warmth,
                not is_default,
                len(able - asked.needs),
            )

        listed = (model for model in book.catalog.models if not model.unlisted)
        able = [model for model in listed if book.serves(model, asked)]
        return tuple(model.name for model in sorted(book.suiting(able, asked), key=rank))

    def named(self, name: str) -> tuple[str, ...]:
        """Return the model of this name, and those that answer in its place if need be."""
        model = self._book.catalog.find(name)
        self._found[name] = self._found[model.name] = ()
        after = (each for one in self._candidates(model.fallback) for each in one.models)
        return name, *dict.fromkeys(each for each in after if each != model.name)

    def shared(self, name: str) -> tuple[str, ...]:
        """Return the models of a shared name that may answer, the soonest first."""
        book, asked = self._book, self._asked
        known = (each for each in book.catalog.shared[name] if book.catalog.has_model(each))
        able = [m for m in map(book.catalog.find, known) if book.serves(m, asked)]
        suiting = [model.name for model in book.suiting(able, asked)]
        return tuple(soonest(suiting, self._running, asked.stays))

    def routed(self, route: RouteTable) -> tuple[tuple[str, ...], str]:
        """Return the models of the route, best first, and why."""
        self._found[route.name] = ()
        chosen = self._targets(route)
        if chosen.names is None:
            found = self.every()
        else:
            candidates = self._candidates(chosen.names)
            order = ordered(chosen.table, candidates, self._running, self._asked.key)
            found = tuple(model for each in order for model in each.models)
        after = self._candidates(chosen.table.fallbacks)
        found += tuple(model for each in after for model in each.models)
        self._found[route.name] = found = tuple(dict.fromkeys(found))
        return found, chosen.reason

    def _targets(self, route: RouteTable) -> _Targets:
        for number, rule in enumerate(route.rules, 1):
            if holds(rule, self._asked):
                return _Targets(rule.to, rule, f"rule={number}, pick={rule.pick}")
        if route.classify is not None:
            label = self._labels.get(route.name)
            if label is None:
                raise _Ask(Question(route.name, route.classify))
            return _Targets(
                route.classify.labels[label], route, f"label={label}, pick={route.pick}"
            )
        return _Targets(route.to or None, route, f"rule=none, pick={route.pick}")

    def _candidates(self, names: tuple[str, ...]) -> list[Candidate]:
        """Return the targets that can answer, in order, with the models that each stands for."""
        found = [Candidate(name, self._models(name)) for name in names]
        able = [each for each in found if each.models]
        catalog = self._book.catalog
        first = {each.models[0]: catalog.find(each.models[0]) for each in able}
        suiting = {model.name for model in self._book.suiting([*first.values()], self._asked)}
        return [each for each in able if first[each.models[0]].name in suiting]

    def _models(self, name: str) -> tuple[str, ...]:
        book = self._book
        if name in self._found:
            return self._found[name]
        route = book.catalog.routes.get(name)
        if route is not None:
            return self.routed(route)[0]
        if name in book.catalog.shared:
            return self.shared(name)
        if not book.catalog.has_model(name):
            # A target that has gone since the rule was written gives nothing.
            return self.every() if name == AUTO else ()
        model = book.catalog.find(name)
        return (model.name,) if book.serves(model, self._asked) else ()


def _refusal(book: RouteBook, asked: Asked, route: str) -> NotCapable:
    """Return the error that names what is missing, and who has it."""
    known = book.catalog.routes.get(route)
    models = book.catalog.models if known is None else models_of(known, book.catalog)
    missing = frozenset.intersection(asked.needs, *(book.lacking(m, asked) for m in models))
    of = "No model" if route == AUTO else f"No model of the route '{route}'"
    if not missing:
        # Each is there, but in no model together with the others.
        missing = asked.needs
    having = book.having(missing)
    what = ", ".join(_sorted(missing)) or f"the endpoint '{asked.endpoint}'"
    who = f" Models that have it: {', '.join(having)}." if having else " No model has it."
    return NotCapable(
        f"{of} can answer this request: it needs {what}.{who}",
        param="tools" if missing == {"tools"} else "model",
    )


def _sorted(capabilities: Iterable[str]) -> list[str]:
    known = frozenset(capabilities)
    return [name for name in NAMES if name in known] + sorted(known.difference(NAMES))
