"""engine/scheduling/queue.py: the order in which requests have their turn."""

from __future__ import annotations

import pytest
from builders import variant
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduling.queue import Priority, Queue, Waiting

A = variant(4096, "a")
LOW, NORMAL, HIGH = Priority


def queue(*waiting: Waiting, max_wait: float = 30.0) -> Queue:
    made = Queue(max_wait)
    for each in waiting:
        made.add(each)
    return made


def numbers(waiting: list[Waiting]) -> list[int]:
    return [each.request for each in waiting]


def asking(
    request: int, client: str = "", priority: Priority = NORMAL, since: float = 0.0
) -> Waiting:
    return Waiting(request, A, since, client, priority)


def served(queue: Queue, now: float = 0.0) -> list[int]:
    """Return the order in which one engine serves all requests."""
    order = []
    while queue:
        chosen = queue.fairest(queue.in_turn(now), now)
        queue.served(chosen, now)
        order.append(chosen.request)
    return order


@pytest.mark.parametrize("alone", [1, 2, 5])
def test_however_often_a_client_was_served_alone_the_other_has_the_next_turn(alone: int) -> None:
    made = queue()
    for number in range(alone):
        made.served(asking(number, "a"), float(number))
    for number, client in enumerate("aabb", 10):
        made.add(asking(number, client, since=5.0))
    assert served(made, 6.0) == [12, 10, 13, 11]


def test_waiting_requests_are_known_by_number() -> None:
    made = queue(asking(1), asking(2))
    assert 1 in made
    assert len(made) == 2
    made.drop(1)
    made.drop(1)
    assert 1 not in made
    assert numbers(list(made)) == [2]


def test_a_number_that_comes_later_stands_where_it_belongs() -> None:
    made = queue(asking(1), asking(4), asking(2), asking(3))
    assert numbers(list(made)) == [1, 2, 3, 4]
    assert numbers(made.in_turn(0.0)) == [1, 2, 3, 4]


def test_priorities_come_first_and_arrival_second() -> None:
    made = queue(asking(1, priority=LOW), asking(2), asking(3, priority=HIGH), asking(4))
    assert numbers(made.in_turn(0.0)) == [3, 2, 4, 1]


@pytest.mark.parametrize(("now", "order"), [(29, [3, 2, 1]), (30, [2, 3, 1]), (60, [1, 2, 3])])
def test_waiting_raises_the_priority(now: float, order: list[int]) -> None:
    made = queue(asking(1, priority=LOW), asking(2), asking(3, priority=HIGH, since=now))
    assert numbers(made.in_turn(now)) == order


def test_a_backlog_does_not_rise_while_its_client_is_served() -> None:
    made = queue(*(asking(n, "x", LOW) for n in range(3)), asking(4, "y", NORMAL, since=60.0))

    def chosen(now: float) -> int:
        return made.fairest(made.in_turn(now), now).request

    made.served(made.in_turn(20.0)[0], 20.0)
    assert chosen(79.0) == 4
    assert chosen(80.0) == 1
    made.served(made.in_turn(80.0)[0], 80.0)
    assert chosen(89.0) == 4
    assert numbers(made.in_turn(89.0)) == [2, 4]
    made.drop(4)
    made.served(made.in_turn(200.0)[0], 200.0)
    assert list(made._served_at.values()) == [200.0]


def test_a_return_is_of_the_highest_priority() -> None:
    back = asking(2, priority=LOW)
    back.returned = True
    made = queue(asking(1), back, asking(3, priority=HIGH))
    assert numbers(made.in_turn(0.0)) == [2, 3, 1]
    assert made.overdue(back, 0.0)
    assert served(made) == [2, 3, 1]


def test_a_request_that_waited_long_enough_is_overdue() -> None:
    made = queue()
    assert not made.overdue(asking(1, since=1.0), 30.0)
    assert made.overdue(asking(1, since=1.0), 31.0)
    assert queue(max_wait=0.0).overdue(asking(1, since=1.0), 1.0)


def test_clients_are_served_in_turn() -> None:
    clients = [asking(n, c) for n, c in enumerate("xxxxyyz", 1)]
    assert served(queue(*clients)) == [1, 5, 7, 2, 6, 3, 4]


def test_a_later_client_owes_no_turns_and_is_owed_none() -> None:
    made = queue(*(asking(n, "x") for n in range(1, 6)))
    for _ in range(3):
        made.served(made.fairest(made.in_turn(0.0), 0.0), 0.0)
    made.add(asking(6, "y"))
    made.add(asking(7, "y"))
    made.add(asking(8, "y"))
    assert served(made) == [6, 4, 7, 5, 8]


def test_each_model_keeps_its_own_turns() -> None:
    other = variant(4096, "b")
    made = queue(asking(1, "x"), Waiting(2, other, 0.0, "x"), Waiting(3, other, 0.0, "y"))
    made.served(made.in_turn(0.0)[0], 0.0)
    assert served(made) == [2, 3]


def test_a_client_that_is_not_ahead_is_forgotten() -> None:
    made = queue(*(asking(n, f"client {n}") for n in range(300)))
    served(made)
    made.add(asking(1001, "x"))
    made.add(asking(1002, "x"))
    served(made)
    assert {client: len(turns) for client, turns in made._turns.items()} == {"a": 1}


def test_a_client_served_long_ago_is_forgotten() -> None:
    made = queue(max_wait=30.0)
    for number in range(200):
        made.add(asking(number, f"key {number}", Priority(number % 3), since=number))
        made.served(made.in_turn(number)[0], number)
    known = {client for turns in made._turns.values() for client in turns}
    assert known == {f"key {number}" for number in range(140, 200)}
    assert len(made._served_at) == 60


def test_without_a_wait_nobody_is_remembered() -> None:
    made = queue(*(asking(number, f"key {number}") for number in range(9)), max_wait=0.0)
    served(made)
    assert not made._turns
    assert not made._served_at


def test_without_a_wait_only_the_arrival_counts() -> None:
    made = queue(asking(1, "x", LOW), asking(2, "x"), asking(3, "y", HIGH), max_wait=0.0)
    assert served(made) == [1, 2, 3]


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from(Priority)), max_size=30))
def test_everybody_is_served_once(asked: list[tuple[str, Priority]]) -> None:
    made = queue(*(asking(n, *who) for n, who in enumerate(asked)))
    assert sorted(served(made)) == list(range(len(asked)))


@given(st.lists(st.sampled_from("xyz"), min_size=1, max_size=40))
def test_no_client_is_served_twice_more_than_another_waiting_one(clients: list[str]) -> None:
    made = queue(*(asking(n, client) for n, client in enumerate(clients)))
    count = dict.fromkeys(clients, 0)
    while made:
        here = {each.client for each in made}
        chosen = made.fairest(made.in_turn(0.0), 0.0)
        made.served(chosen, 0.0)
        count[chosen.client] += 1
        assert max(count[c] for c in here) - min(count[c] for c in here) <= 1
