"""Pictures of churches, castles and houses, drawn when they are read: data that needs no file."""

from data_modules.scenes.source import Scenes

__all__ = ["Scenes"]
