"""Errors of data, in words."""


class DataError(ValueError):
    """Data that cannot be used as asked; the message is one sentence that says what to do."""


class UnusableImageError(DataError):
    """One image that is unreadable, truncated or too small, which may be counted and left out."""
