"""What goes wrong with data, in words."""


class DataError(ValueError):
    """Data that cannot be used as asked; the message is one sentence that says what to do."""


class UnusableImageError(DataError):
    """One image that is unreadable, truncated or too small: the kind of error that may be counted and skipped."""
