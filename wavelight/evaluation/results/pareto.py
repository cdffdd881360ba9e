"""The Pareto front of cost and quality."""

from collections.abc import Callable, Sequence


def pareto_front(
    points: Sequence[tuple[float, float]], better: Callable[[float, float], bool]
) -> list[tuple[float, float]]:
    """Return the points that no other one surpasses in both, from cheap to dear.

    >>> pareto_front([(4, 3.0), (1, 9.0), (8, 3.5), (2, 9.5)], lambda one, other: one < other)
    [(1, 9.0), (4, 3.0)]

    Args:
        points: Pairs of cost, less of which is better, and quality.
        better: Tells whether one quality is better than another.
    """
    front: list[tuple[float, float]] = []
    for cost, quality in sorted(points):
        if front and not better(quality, front[-1][1]):
            continue
        if front and front[-1][0] == cost:
            front.pop()
        front.append((cost, quality))
    return front
