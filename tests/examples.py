"""Settings of property tests: the same examples in every run, as many as a second allows."""

from hypothesis import HealthCheck, settings

EXAMPLES = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""Of an unmarked test."""

MANY = settings(EXAMPLES, max_examples=400)
"""Of a slow one."""
