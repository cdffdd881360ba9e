"""Details given LL: exposure bias, and diversity at fixed LL bands."""
